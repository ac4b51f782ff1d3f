//! What was acknowledged survives, and nothing counts twice: kills and power cuts in full flow.
//! The journal of acknowledgements is kept here, outside the system under test.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::server::{Random, Server, project};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {"id": {"type": "integer"}, "who": {"type": "string"}, "email": {"type": "string", "x-privacy": "hash"}},
  "required": ["id", "who"],
  "x-key": ["who"],
  "x-partitions": 8
}"#;
const CONFIG: &str = "[tcp.sensors]\nlisten = \"127.0.0.1:0\"\nstream = \"reading\"\nack = true\n\
                      [lake]\ncommit_every = \"5ms\"\n[journal]\nsegment = \"1MiB\"\nbudget = \"64MiB\"\n";
const HTTP_PRODUCERS: usize = 2;
const EVENTS_PER_REQUEST: u64 = 20;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What the producers know, across all lives of the server.
#[derive(Default)]
struct Acknowledged {
    /// Event id → how it was judged, `true` for stored.
    events: Mutex<HashMap<u64, bool>>,
    count: AtomicU64,
    more: Notify,
}

impl Acknowledged {
    fn add(&self, events: impl IntoIterator<Item = (u64, bool)>) {
        let mut known = self.events.lock().unwrap();
        for (id, stored) in events {
            known.insert(id, stored);
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        self.more.notify_waiters();
    }

    /// Waits until this many more requests were acknowledged.
    async fn wait_for(&self, more: u64) {
        let target = self.count.load(Ordering::SeqCst) + more;
        let reached = async {
            loop {
                let notified = self.more.notified();
                if self.count.load(Ordering::SeqCst) >= target {
                    return;
                }
                notified.await;
            }
        };
        tokio::time::timeout(WAIT_MAX, reached).await.expect("the producers make no progress");
    }
}

/// A producer that sends numbered requests with a key each, and sends the one that has no answer again.
struct HttpProducer {
    number: usize,
    next_request: u64,
}

impl HttpProducer {
    fn request(&self) -> (String, String, Vec<(u64, bool)>) {
        let (mut body, mut events) = (String::new(), Vec::new());
        for n in 0..EVENTS_PER_REQUEST {
            let id = (self.number as u64 + 1) * 1_000_000_000 + self.next_request * EVENTS_PER_REQUEST + n;
            let good = n % 5 != 4;
            let who = if good { format!("\"w{}\"", id % 7) } else { "7".to_owned() };
            body.push_str(&format!("{{\"id\":{id},\"who\":{who},\"email\":\"p{id}@example.org\"}}\n"));
            events.push((id, good));
        }
        (format!("p{}-{}", self.number, self.next_request), body, events)
    }

    /// Until the server is gone or `stop`.
    async fn run(&mut self, client: reqwest::Client, http: &str, known: &Acknowledged, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            let (key, body, events) = self.request();
            let request = client
                .post(format!("{http}/v1/streams/reading/events"))
                .header("content-type", "application/x-ndjson")
                .header("idempotency-key", key)
                .body(body);
            let Ok(response) = request.send().await else { return };
            let status = response.status().as_u16();
            match status {
                200 => {}
                // Full, failing or stopping: the same request again.
                429 | 503 | 507 => continue,
                other => panic!("status {other}: {:?}", response.text().await),
            }
            // Without the whole receipt there is no acknowledgement.
            let Ok(receipt) = response.json::<serde_json::Value>().await else { return };
            let judged = ["accepted", "rejected", "duplicates"].map(|name| receipt[name].as_u64().unwrap());
            assert_eq!(judged.iter().sum::<u64>(), EVENTS_PER_REQUEST, "{receipt}");
            known.add(events);
            self.next_request += 1;
        }
    }
}

/// A sensor that counts what is acknowledged and never repeats.
fn sensor(address: &str, first: u64, known: &Acknowledged, stop: &AtomicBool) -> u64 {
    let Ok(mut socket) = TcpStream::connect(address) else { return first };
    let mut answers = BufReader::new(socket.try_clone().unwrap()).lines();
    let (mut next, mut sent, mut acknowledged) = (first, Vec::new(), 0);
    while !stop.load(Ordering::SeqCst) {
        if socket.write_all(format!("id={next}&who=tcp\n").as_bytes()).is_err() {
            break;
        }
        sent.push(next);
        next += 1;
        while acknowledged < sent.len() {
            let Some(Ok(line)) = answers.next() else { return next };
            let count: usize = line.strip_prefix("ok ").unwrap().parse().unwrap();
            known.add(sent[acknowledged..count].iter().map(|&id| (id, true)));
            acknowledged = count;
        }
    }
    next
}

/// One life of the server: producers run until `end` has ended it.
struct Lives {
    known: Arc<Acknowledged>,
    http: Vec<HttpProducer>,
    sensor_next: u64,
    random: Random,
}

impl Lives {
    fn new() -> Lives {
        Lives {
            known: Arc::default(),
            http: (0..HTTP_PRODUCERS).map(|number| HttpProducer { number, next_request: 0 }).collect(),
            sensor_next: 0,
            random: Random::seeded(),
        }
    }

    async fn live(&mut self, server: Server, end: impl FnOnce(Server)) {
        let stop = Arc::new(AtomicBool::new(false));
        let mut producers = Vec::new();
        for mut producer in std::mem::take(&mut self.http) {
            let (client, http, known, stop) =
                (server.client(), server.http.clone(), self.known.clone(), stop.clone());
            producers.push(tokio::spawn(async move {
                producer.run(client, &http, &known, &stop).await;
                producer
            }));
        }
        let (address, first, known, sensor_stop) =
            (server.tcp("sensors"), self.sensor_next, self.known.clone(), stop.clone());
        let sensor = tokio::task::spawn_blocking(move || sensor(&address, first, &known, &sensor_stop));
        let requests = 1 + self.random.below(60);
        self.known.wait_for(requests).await;
        tokio::task::block_in_place(|| end(server));
        stop.store(true, Ordering::SeqCst);
        for producer in producers {
            self.http.push(tokio::time::timeout(WAIT_MAX, producer).await.unwrap().unwrap());
        }
        self.sensor_next = sensor.await.unwrap();
    }

    /// Every acknowledged event is there, once; the ledger balances with the tables.
    async fn check(&self, server: &Server) {
        let known = self.known.events.lock().unwrap().clone();
        let mut stored: HashMap<u64, u64> = HashMap::new();
        for row in server.sql("SELECT id FROM reading").await {
            *stored.entry(row[0].as_u64().unwrap()).or_default() += 1;
        }
        let doubled: Vec<_> = stored.iter().filter(|(_, count)| **count > 1).collect();
        assert!(doubled.is_empty(), "doubled: {doubled:?}");
        let missing: Vec<_> = known.iter().filter(|(id, good)| **good && !stored.contains_key(id)).collect();
        assert!(
            missing.is_empty(),
            "{} of {} acknowledged are missing: {:?}",
            missing.len(),
            known.len(),
            &missing[..missing.len().min(5)]
        );
        let mut rejected: HashMap<String, u64> = HashMap::new();
        for row in server.sql("SELECT payload_sha256 FROM rejects").await {
            *rejected.entry(row[0].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert!(rejected.values().all(|&count| count == 1), "a reject counts twice");
        let bad = known.values().filter(|good| !**good).count() as i64;
        assert!(rejected.len() as i64 >= bad, "{} rejects, {bad} acknowledged", rejected.len());
        let ledger = "SELECT coalesce(sum(stored), 0), coalesce(sum(rejected), 0), \
                      coalesce(sum(received - stored - rejected - duplicates), 0) FROM ledger";
        let total: u64 = stored.values().sum();
        assert_eq!(
            server.sql(ledger).await,
            [[serde_json::json!(total), serde_json::json!(rejected.len()), serde_json::json!(0)]]
        );
        let disorder = "SELECT count(*) FROM (SELECT id - lag(id) OVER (PARTITION BY who, id / 1000000000 ORDER BY _offset) \
                        AS step FROM reading) WHERE step <= 0";
        assert_eq!(server.number(disorder).await, 0, "order per key and producer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_full_flow_lose_nothing() {
    let kills: u64 = std::env::var("HW_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(50);
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA)]);
    let data = directory.path().join("data");
    let mut lives = Lives::new();
    let mut ready = Vec::new();
    for round in 0..kills {
        let server = Server::start(&project, &data);
        ready.push(server.ready_after);
        if round % 10 == 0 {
            lives.check(&server).await;
        }
        let gently = lives.random.below(3) == 0;
        lives
            .live(server, |server| {
                if gently {
                    assert!(server.terminate().success(), "TERM ends cleanly");
                } else {
                    server.kill();
                }
            })
            .await;
    }
    let server = Server::start(&project, &data);
    lives.check(&server).await;
    ready.sort_unstable();
    println!(
        "{kills} kills: {} events acknowledged, 0 missing, 0 doubled; ready after {:?} (median), {:?} (worst)",
        lives.known.events.lock().unwrap().len(),
        ready[ready.len() / 2],
        ready[ready.len() - 1]
    );
}

/// ext4 on a loop file that can lose its power.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// `None` where this machine does not let us: no root, no loop devices, no ext4.
    fn make(directory: &Path, megabytes: u64) -> Option<Disk> {
        let disk = Disk { image: directory.join("disk.img"), mount: directory.join("disk") };
        std::fs::create_dir(&disk.mount).unwrap();
        let image = std::fs::File::create(&disk.image).unwrap();
        image.set_len(megabytes << 20).unwrap();
        let made = run("mkfs.ext4", &["-q", "-F", disk.image.to_str().unwrap()]) && disk.mount();
        made.then_some(disk)
    }

    fn mount(&self) -> bool {
        run("mount", &["-o", "loop", self.image.to_str().unwrap(), self.mount.to_str().unwrap()])
    }

    /// The file system stops where it is. Flag 2: nothing more is written; flag 1: its own journal is, data is not.
    fn cut(&self, flag: u32) {
        let script = "import fcntl,os,struct,sys\n\
                      d=os.open(sys.argv[1],os.O_RDONLY)\n\
                      fcntl.ioctl(d,0x8004587D,struct.pack('I',int(sys.argv[2])))";
        assert!(
            run("python3", &["-c", script, self.mount.to_str().unwrap(), &flag.to_string()]),
            "no shutdown ioctl"
        );
    }

    fn unmount(&self) {
        // The process was killed a moment ago: the kernel may still be closing its files.
        for _ in 0..200 {
            if run("umount", &[self.mount.to_str().unwrap()]) {
                return;
            }
            std::thread::yield_now();
        }
        panic!("cannot unmount {}", self.mount.display());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &[self.mount.to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// For tests that need a disk of their own: `None`, said plainly, where there cannot be one.
pub fn own_disk(directory: &Path, megabytes: u64) -> Option<(PathBuf, impl Drop)> {
    let disk = Disk::make(directory, megabytes)?;
    Some((disk.mount.clone(), disk))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_in_full_flow_lose_nothing() {
    let cuts: u32 = std::env::var("HW_POWER_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::make(directory.path(), 256) else {
        println!("SKIPPED: power cuts need root, mkfs.ext4 and loop devices");
        return;
    };
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA)]);
    let data = disk.mount.join("data");
    let mut lives = Lives::new();
    for round in 0..cuts {
        let server = Server::start(&project, &data);
        lives.check(&server).await;
        lives
            .live(server, |server| {
                disk.cut(1 + round % 2);
                server.kill();
            })
            .await;
        disk.unmount();
        assert!(disk.mount(), "the file system mounts again");
    }
    let server = Server::start(&project, &data);
    lives.check(&server).await;
    println!(
        "{cuts} power cuts: {} events acknowledged, 0 missing, 0 doubled",
        lives.known.events.lock().unwrap().len()
    );
    server.kill();
}
