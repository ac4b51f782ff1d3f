//! Where each field of a struct lies on the wire. Cap'n Proto gives places in the order of the fields' numbers:
//! 1. A value goes into the smallest hole that is left of words begun already, else into a new word, whose rest
//!    becomes holes. Pointers have a section of their own.
//! 2. All members of a union share places. A member that needs more than any place has looks for a hole in
//!    those, then tries to widen one into free neighbours, and only then gets a new place from the struct around.
//! 3. A union's discriminant (two bytes) is placed when its second member is, or at the union's own number.
//!
//! Always: the result is that of the reference compiler, bit for bit; the tests hold it against what that made.
//! Sizes are logarithms of bits: 0 is a bit, 6 a word. Offsets count in units of their size.

type Log = u32;
const WORD: Log = 6;

/// Free places of each size below a word; 0 stands for none, since no hole is at the start of a word.
#[derive(Debug, Clone, Copy, Default)]
struct Holes([u32; WORD as usize]);

impl Holes {
    fn allocate(&mut self, size: Log) -> Option<u32> {
        if size >= WORD {
            return None;
        }
        let hole = self.0[size as usize];
        if hole != 0 {
            self.0[size as usize] = 0;
            return Some(hole);
        }
        let place = self.allocate(size + 1)? * 2;
        self.0[size as usize] = place + 1;
        Some(place)
    }

    /// The rest of a place of size `limit` of which the first part is taken up to `offset`.
    fn add_at_end(&mut self, size: Log, mut offset: u32, limit: Log) {
        for size in size..limit {
            self.0[size as usize] = offset;
            offset = offset.div_ceil(2);
        }
    }

    /// Widens what lies at `offset` by taking the hole behind it, `factor` times.
    fn widen(&mut self, size: Log, offset: u32, factor: u32) -> bool {
        if factor == 0 {
            return true;
        }
        if size >= WORD || self.0[size as usize] != offset + 1 {
            return false;
        }
        let done = self.widen(size + 1, offset >> 1, factor - 1);
        if done {
            self.0[size as usize] = 0;
        }
        done
    }

    fn smallest(&self, size: Log) -> Option<Log> {
        (size..WORD).find(|&size| self.0[size as usize] != 0)
    }
}

/// The layout of one struct with all its unions. Scopes are numbered: 0 is the struct itself.
#[derive(Debug, Default)]
pub(super) struct Layout {
    words: u32,
    pointers: u32,
    holes: Holes,
    unions: Vec<Union>,
    branches: Vec<Branch>,
}

/// Where a field is placed: in the struct, or in one member of a union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Struct,
    Branch(usize),
}

#[derive(Debug)]
struct Union {
    parent: Scope,
    branches: u32,
    discriminant: Option<u32>,
    data: Vec<Location>,
    pointers: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Location {
    size: Log,
    offset: u32,
}

/// One member of a union, which has all of the union's places to itself.
#[derive(Debug)]
struct Branch {
    union: usize,
    begun: bool,
    /// For each of the union's places, as far as this member has met them.
    used: Vec<Usage>,
    pointers: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    /// How much of the place, from its start, is given out (holes in it apart). `None`: nothing.
    size: Option<Log>,
    holes: Holes,
}

impl Layout {
    pub fn union(&mut self, parent: Scope) -> usize {
        let union = Union { parent, branches: 0, discriminant: None, data: Vec::new(), pointers: Vec::new() };
        self.unions.push(union);
        self.unions.len() - 1
    }

    pub fn branch(&mut self, union: usize) -> Scope {
        self.branches.push(Branch { union, begun: false, used: Vec::new(), pointers: 0 });
        Scope::Branch(self.branches.len() - 1)
    }

    /// In units of two bytes.
    pub fn discriminant(&self, union: usize) -> Option<u32> {
        self.unions[union].discriminant
    }

    pub fn place_discriminant(&mut self, union: usize) {
        if self.unions[union].discriminant.is_none() {
            let offset = self.data(self.unions[union].parent, 4);
            self.unions[union].discriminant = Some(offset);
        }
    }

    pub fn void(&mut self, scope: Scope) {
        if let Scope::Branch(branch) = scope {
            self.begin(branch);
            let parent = self.unions[self.branches[branch].union].parent;
            self.void(parent);
        }
    }

    pub fn pointer(&mut self, scope: Scope) -> u32 {
        match scope {
            Scope::Struct => {
                self.pointers += 1;
                self.pointers - 1
            }
            Scope::Branch(index) => {
                self.begin(index);
                let union = self.branches[index].union;
                let nth = self.branches[index].pointers;
                self.branches[index].pointers += 1;
                if let Some(&offset) = self.unions[union].pointers.get(nth) {
                    return offset;
                }
                let offset = self.pointer(self.unions[union].parent);
                self.unions[union].pointers.push(offset);
                offset
            }
        }
    }

    pub fn data(&mut self, scope: Scope, size: Log) -> u32 {
        match scope {
            Scope::Struct => self.holes.allocate(size).unwrap_or_else(|| {
                let offset = self.words << (WORD - size);
                self.words += 1;
                self.holes.add_at_end(size, offset + 1, WORD);
                offset
            }),
            Scope::Branch(index) => self.data_of_branch(index, size),
        }
    }

    fn data_of_branch(&mut self, index: usize, size: Log) -> u32 {
        self.begin(index);
        let union = self.branches[index].union;
        let count = self.unions[union].data.len();
        self.branches[index].used.resize(count, Usage::default());
        let smallest = (0..count)
            .filter_map(|at| Some((self.hole_of(index, at, size)?, at)))
            .min_by_key(|&(hole, at)| (hole, at));
        if let Some((_, at)) = smallest {
            return self.take_hole(index, at, size);
        }
        if let Some(offset) = (0..count).find_map(|at| self.take_by_widening(index, at, size)) {
            return offset;
        }
        let offset = self.data(self.unions[union].parent, size);
        self.unions[union].data.push(Location { size, offset });
        self.branches[index].used.push(Usage { size: Some(size), holes: Holes::default() });
        offset
    }

    fn begin(&mut self, index: usize) {
        let branch = &mut self.branches[index];
        if !branch.begun {
            branch.begun = true;
            let union = branch.union;
            self.unions[union].branches += 1;
            if self.unions[union].branches == 2 {
                self.place_discriminant(union);
            }
        }
    }

    fn location(&self, index: usize, at: usize) -> Location {
        self.unions[self.branches[index].union].data[at]
    }

    /// The size of the smallest hole of this place that holds `size`.
    fn hole_of(&self, index: usize, at: usize, size: Log) -> Option<Log> {
        let location = self.location(index, at);
        let usage = &self.branches[index].used[at];
        match usage.size {
            None => (size <= location.size).then_some(location.size),
            Some(used) if size >= used => (size < location.size).then_some(size),
            Some(used) => usage.holes.smallest(size).or_else(|| (used < location.size).then_some(used)),
        }
    }

    fn take_hole(&mut self, index: usize, at: usize, size: Log) -> u32 {
        let location = self.location(index, at);
        let usage = &mut self.branches[index].used[at];
        let within = match usage.size {
            None => {
                usage.size = Some(size);
                0
            }
            Some(used) if size >= used => {
                usage.holes.add_at_end(used, 1, size);
                usage.size = Some(size + 1);
                1
            }
            Some(used) => usage.holes.allocate(size).unwrap_or_else(|| {
                let within = 1 << (used - size);
                usage.holes.add_at_end(size, within + 1, used);
                usage.size = Some(used + 1);
                within
            }),
        };
        (location.offset << (location.size - size)) + within
    }

    fn take_by_widening(&mut self, index: usize, at: usize, size: Log) -> Option<u32> {
        match self.branches[index].used[at].size {
            None => {
                if !self.widen_location(index, at, size) {
                    return None;
                }
                self.branches[index].used[at].size = Some(size);
                let location = self.location(index, at);
                Some(location.offset << (location.size - size))
            }
            Some(used) => {
                if !self.widen_usage(index, at, used.max(size) + 1, true) {
                    return None;
                }
                let location = self.location(index, at);
                let within = self.branches[index].used[at].holes.allocate(size)?;
                Some((location.offset << (location.size - size)) + within)
            }
        }
    }

    fn widen_location(&mut self, index: usize, at: usize, size: Log) -> bool {
        let union = self.branches[index].union;
        let Location { size: old, offset } = self.unions[union].data[at];
        if size <= old {
            return true;
        }
        if !self.widen(self.unions[union].parent, old, offset, size - old) {
            return false;
        }
        self.unions[union].data[at] = Location { size, offset: offset >> (size - old) };
        true
    }

    fn widen_usage(&mut self, index: usize, at: usize, size: Log, holes: bool) -> bool {
        if size > self.location(index, at).size && !self.widen_location(index, at, size) {
            return false;
        }
        let usage = &mut self.branches[index].used[at];
        if let (true, Some(used)) = (holes, usage.size) {
            usage.holes.add_at_end(used, 1, size);
        }
        usage.size = Some(size);
        true
    }

    /// Widens a place that `scope` has given out.
    fn widen(&mut self, scope: Scope, size: Log, offset: u32, factor: u32) -> bool {
        if size + factor > WORD || offset & ((1 << factor) - 1) != 0 {
            return false;
        }
        let Scope::Branch(index) = scope else { return self.holes.widen(size, offset, factor) };
        for at in 0..self.branches[index].used.len() {
            let location = self.location(index, at);
            if location.size < size || offset >> (location.size - size) != location.offset {
                continue;
            }
            let within = offset - (location.offset << (location.size - size));
            if within == 0 && self.branches[index].used[at].size == Some(size) {
                return self.widen_usage(index, at, size + factor, false);
            }
            return self.branches[index].used[at].holes.widen(size, within, factor);
        }
        false
    }
}
