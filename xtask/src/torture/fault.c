/* Runs a program whose calls to the file system fail where they are told to. For `cargo xtask torture io`.
 *
 *   fault DIRECTORY KIND FROM TO ERRNO LOG PROGRAM [ARGUMENT...]
 *
 * The FROM-th to TO-th call of KIND on something below DIRECTORY fails with ERRNO and is not made. Every other call is made
 * as it is. KIND is open, read, write, sync, rename, truncate, unlink, mkdir, or none. PROGRAM keeps this process's id.
 *
 * How: a seccomp filter (user notification) stops these calls in the kernel, whoever makes them, so that no libc and no
 * raw system call passes by; a second process is asked about each.
 *
 * LOG gets a line for each event:
 *   fail KIND N PATH    the call that failed
 *   again KIND PATH     a later sync of a regular file of which a sync failed: the kernel may have dropped its pages
 *   count KIND N        at the end: how many calls there were
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { OPEN, READ, WRITE, SYNC, RENAME, TRUNCATE, UNLINK, MKDIR, KINDS };
static const char *const names[KINDS] = {"open", "read", "write", "sync", "rename", "truncate", "unlink", "mkdir"};

/* Where a call says which file it is about. */
enum how { DESCRIPTOR, PATH, AT_PATH };
static const struct call {
    int number;
    enum kind kind;
    enum how how;
} calls[] = {
    {SYS_openat, OPEN, AT_PATH},
#ifdef SYS_open
    {SYS_open, OPEN, PATH},
    {SYS_rename, RENAME, PATH},
    {SYS_link, RENAME, PATH},
    {SYS_unlink, UNLINK, PATH},
    {SYS_rmdir, UNLINK, PATH},
    {SYS_mkdir, MKDIR, PATH},
#endif
#ifdef SYS_openat2
    {SYS_openat2, OPEN, AT_PATH},
#endif
    {SYS_read, READ, DESCRIPTOR},
    {SYS_pread64, READ, DESCRIPTOR},
    {SYS_readv, READ, DESCRIPTOR},
    {SYS_preadv, READ, DESCRIPTOR},
    {SYS_write, WRITE, DESCRIPTOR},
    {SYS_pwrite64, WRITE, DESCRIPTOR},
    {SYS_writev, WRITE, DESCRIPTOR},
    {SYS_pwritev, WRITE, DESCRIPTOR},
    {SYS_fsync, SYNC, DESCRIPTOR},
    {SYS_fdatasync, SYNC, DESCRIPTOR},
#ifdef SYS_renameat
    {SYS_renameat, RENAME, AT_PATH},
#endif
    {SYS_renameat2, RENAME, AT_PATH},
    {SYS_linkat, RENAME, AT_PATH},
    {SYS_ftruncate, TRUNCATE, DESCRIPTOR},
    {SYS_fallocate, TRUNCATE, DESCRIPTOR},
    {SYS_unlinkat, UNLINK, AT_PATH},
    {SYS_mkdirat, MKDIR, AT_PATH},
};
#define CALLS (sizeof calls / sizeof *calls)

static void die(const char *what) {
    perror(what);
    _exit(125);
}

/* The filter: these calls are asked about, all others are made. Returns the descriptor to ask through. */
static int install(void) {
    struct sock_filter filter[CALLS + 8];
    unsigned short at = 0;
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++)
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i].number,
                                                    (unsigned char)(CALLS - i), 0);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog program = {at, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("no_new_privs");
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0) die("seccomp");
    return listener;
}

static void send_descriptor(int socket, int descriptor) {
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &descriptor, sizeof(int));
    if (sendmsg(socket, &message, 0) != 1) die("sendmsg");
}

static int receive_descriptor(int socket) {
    char control[CMSG_SPACE(sizeof(int))], byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) _exit(0);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (!head) _exit(0);
    int descriptor;
    memcpy(&descriptor, CMSG_DATA(head), sizeof(int));
    return descriptor;
}

/* The file that a call is about; empty if it cannot be known. */
static void find_path(const struct seccomp_notif *notice, const struct call *call, char *path, size_t size) {
    char name[64];
    path[0] = 0;
    if (call->how == DESCRIPTOR) {
        snprintf(name, sizeof name, "/proc/%u/fd/%d", notice->pid, (int)notice->data.args[0]);
        ssize_t length = readlink(name, path, size - 1);
        path[length < 0 ? 0 : length] = 0;
        return;
    }
    snprintf(name, sizeof name, "/proc/%u/mem", notice->pid);
    int memory = open(name, O_RDONLY | O_CLOEXEC);
    if (memory < 0) return;
    ssize_t length = pread(memory, path, size - 1, (off_t)notice->data.args[call->how == AT_PATH]);
    close(memory);
    path[length < 0 ? 0 : length] = 0;
    if (path[0] == '/' || call->how == PATH) return;
    /* Relative to a directory: that it lies below the directory is all that counts. */
    char rest[1024];
    snprintf(rest, sizeof rest, "%s", path);
    if ((int)notice->data.args[0] == AT_FDCWD)
        snprintf(name, sizeof name, "/proc/%u/cwd", notice->pid);
    else
        snprintf(name, sizeof name, "/proc/%u/fd/%d", notice->pid, (int)notice->data.args[0]);
    length = readlink(name, path, size - 1);
    length = length < 0 ? 0 : length;
    snprintf(path + length, size - (size_t)length, "/%s", rest);
}

/* What a file is, for as long as it is: a number that is given again comes with another birth, and within one tick of the
 * clock with another generation, where the file system has them. */
struct identity {
    uint64_t inode, born;
    int generation;
};

static int identify(const struct seccomp_notif *notice, struct identity *identity) {
    char name[64];
    struct statx status;
    snprintf(name, sizeof name, "/proc/%u/fd/%d", notice->pid, (int)notice->data.args[0]);
    if (statx(AT_FDCWD, name, 0, STATX_INO | STATX_BTIME | STATX_TYPE, &status) || !S_ISREG(status.stx_mode)) return 0;
    identity->inode = status.stx_ino;
    identity->born = (uint64_t)status.stx_btime.tv_sec * 1000000000u + status.stx_btime.tv_nsec;
    identity->generation = 0;
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (ioctl(file, FS_IOC_GETVERSION, &identity->generation)) identity->generation = 0;
        close(file);
    }
    return 1;
}

static void supervise(int listener, char **arguments) {
    const char *directory = arguments[1], *kind_name = arguments[2];
    unsigned long long from = strtoull(arguments[3], 0, 10), to = strtoull(arguments[4], 0, 10), counts[KINDS] = {0};
    int error = atoi(arguments[5]), failures = 0;
    size_t directory_length = strlen(directory);
    FILE *log = fopen(arguments[6], "ae");
    if (!log) die(arguments[6]);
    setvbuf(log, 0, _IOLBF, 0);
    struct seccomp_notif_sizes sizes;
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes)) die("seccomp sizes");
    struct seccomp_notif *notice = calloc(1, sizes.seccomp_notif + sizeof *notice);
    struct seccomp_notif_resp *answer = calloc(1, sizes.seccomp_notif_resp + sizeof *answer);
    struct identity failed[256];
    static char path[4096];
    if (!notice || !answer) die("memory");
    for (;;) {
        struct pollfd ready = {listener, POLLIN, 0};
        if (poll(&ready, 1, -1) < 0 && errno == EINTR) continue;
        if (!(ready.revents & POLLIN)) break;
        memset(notice, 0, sizes.seccomp_notif);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, notice)) {
            if (errno == EINTR || errno == ENOENT) continue;
            break;
        }
        memset(answer, 0, sizes.seccomp_notif_resp);
        answer->id = notice->id;
        answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        const struct call *call = calls;
        while (call < calls + CALLS - 1 && call->number != notice->data.nr) call++;
        find_path(notice, call, path, sizeof path);
        if (!strncmp(path, directory, directory_length) && (path[directory_length] == '/' || !path[directory_length])) {
            unsigned long long n = ++counts[call->kind];
            struct identity identity;
            int known = call->kind == SYNC && identify(notice, &identity);
            for (int i = 0; known && i < failures; i++)
                if (failed[i].inode == identity.inode && failed[i].born == identity.born &&
                    failed[i].generation == identity.generation)
                    fprintf(log, "again %s %s\n", names[call->kind], path);
            if (!strcmp(kind_name, names[call->kind]) && n >= from && n <= to) {
                answer->flags = 0;
                answer->error = -error;
                if (known && failures < 256) failed[failures++] = identity;
                if (n < from + 100) fprintf(log, "fail %s %llu %s\n", names[call->kind], n, path);
            }
        }
        /* The caller may be gone. */
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, answer);
    }
    for (int kind = 0; kind < KINDS; kind++) fprintf(log, "count %s %llu\n", names[kind], counts[kind]);
    fclose(log);
    _exit(0);
}

int main(int count, char **arguments) {
    if (count < 8) {
        fprintf(stderr, "usage: fault DIRECTORY KIND FROM TO ERRNO LOG PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets)) die("socketpair");
    pid_t child = fork();
    if (child < 0) die("fork");
    if (!child) {
        /* A grandchild: the program must not find a child that it did not make. */
        if (fork()) _exit(0);
        setsid();
        close(sockets[1]);
        /* Whoever reads the program's output waits for its end, not for ours. */
        int nothing = open("/dev/null", O_RDWR);
        dup2(nothing, 0);
        dup2(nothing, 1);
        supervise(receive_descriptor(sockets[0]), arguments);
    }
    waitpid(child, 0, 0);
    close(sockets[0]);
    int listener = install();
    send_descriptor(sockets[1], listener);
    close(listener);
    execvp(arguments[7], arguments + 7);
    die(arguments[7]);
}
