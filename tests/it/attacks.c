/* What a program in a sandbox tries in order to get out or to harm the host. One line for each attempt: its name and
 * "refused", or "SUCCEEDED". Arguments: a process of the host, an abstract socket of the host, a file of the host. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static void tell(const char *name, int succeeded) {
    printf("%s %s\n", name, succeeded ? "SUCCEEDED" : "refused");
    fflush(stdout);
}

/* A call that must fail; only these errors are a refusal, others a mistake of the test. */
static void call(const char *name, long result) {
    int known = errno == EPERM || errno == EACCES || errno == EROFS || errno == ENOSYS || errno == ESRCH ||
                errno == ENOENT || errno == ECONNREFUSED || errno == ENXIO || errno == ENODEV || errno == EAFNOSUPPORT ||
                errno == EINVAL || errno == ENOTTY;
    if (result < 0 && !known)
        printf("%s failed oddly: %s\n", name, strerror(errno));
    else
        tell(name, result >= 0);
}

static void mounts(void) {
    mkdir("/m", 0755);
    call("mount-tmpfs", mount("none", "/m", "tmpfs", 0, ""));
    call("mount-proc", mount("none", "/m", "proc", 0, ""));
    call("mount-cgroup", mount("none", "/m", "cgroup", 0, "memory"));
    call("bind", mount("/", "/m", 0, MS_BIND | MS_REC, 0));
    call("remount-sysfs", mount(0, "/sys", 0, MS_REMOUNT, 0));
    call("remount-proc-sys", mount(0, "/proc/sys", 0, MS_REMOUNT | MS_BIND, 0));
    call("shared", mount(0, "/", 0, MS_SHARED | MS_REC, 0));
    call("umount-proc", umount2("/proc", MNT_DETACH));
    call("umount-mask", umount2("/proc/interrupts", MNT_DETACH));
    call("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    call("open-tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    call("mount-setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/sys", 0, 0, 0));
    call("pivot-root", syscall(SYS_pivot_root, "/m", "/m"));
    call("setns", setns(open("/proc/1/ns/mnt", O_RDONLY), 0));
}

static void privileges(void) {
    call("unshare-user", unshare(CLONE_NEWUSER));
    call("unshare-mount", unshare(CLONE_NEWNS));
    call("clone-user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{~0u, ~0u, 0}, {0x1ff, 0x1ff, 0}};
    call("capset-all", syscall(SYS_capset, &header, data));
    call("ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0));
    call("keyctl", syscall(SYS_keyctl, 0, -3, 1));
    call("add-key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
    call("bpf", syscall(SYS_bpf, 0, 0, 0));
    call("perf-event", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0));
    call("userfaultfd", syscall(SYS_userfaultfd, 0));
    call("io-uring", syscall(SYS_io_uring_setup, 1, 0));
    call("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
    call("init-module", syscall(SYS_init_module, "", 0, ""));
    call("delete-module", syscall(SYS_delete_module, "none", 0));
    /* No valid order: a kernel that listened would find it wrong only after asking for the power. */
    errno = 0;
    call("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0) < 0 && errno == EPERM ? -1 : 0);
    call("swapon", syscall(SYS_swapon, "/none", 0) < 0 && errno == EPERM ? -1 : 0);
    call("acct", syscall(SYS_acct, 0));
    struct timeval now;
    gettimeofday(&now, 0);
    call("settimeofday", settimeofday(&now, 0));
    struct timespec time = {now.tv_sec, now.tv_usec * 1000};
    call("clock-settime", clock_settime(CLOCK_REALTIME, &time));
    call("sethostname", sethostname("host", 4));
    call("klogctl", klogctl(3, (char[16]){0}, 16));
    call("iopl", syscall(SYS_iopl, 3));
    call("handle", syscall(SYS_open_by_handle_at, AT_FDCWD, (int[8]){8, 1, 2, 0}, O_RDONLY));
    call("alg-socket", socket(38, SOCK_SEQPACKET, 0));
    call("vsock", socket(40, SOCK_STREAM, 0));
}

/* A program that has been given a power as an attribute of its file must not run with it. */
static void file_capabilities(const char *self) {
    char copy[] = "/capable";
    int from = open(self, O_RDONLY), to = open(copy, O_CREAT | O_WRONLY | O_TRUNC, 0755);
    char bytes[65536];
    ssize_t length;
    while ((length = read(from, bytes, sizeof bytes)) > 0)
        if (write(to, bytes, length) != length)
            return;
    close(to);
    unsigned int attribute[5] = {0x02000001, 1 << CAP_SYS_ADMIN, 0, 0, 0};
    if (setxattr(copy, "security.capability", attribute, sizeof attribute, 0) < 0) {
        call("file-capability", -1);
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        execl(copy, copy, "mount", NULL);
        _exit(1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    tell("file-capability", WIFEXITED(status) && WEXITSTATUS(status) == 0);
    unlink(copy);
}

static void kernel_files(void) {
    static const char *const files[] = {
        "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/panic_on_oom",
        "/proc/sys/fs/binfmt_misc/register", "/proc/irq/default_smp_affinity", "/proc/kmsg", "/proc/kcore",
        "/sys/kernel/uevent_helper", "/sys/kernel/mm/ksm/run", "/sys/power/state", "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/release_agent", "/sys/module/kernel/parameters/panic", "/dev/mem", "/dev/kmsg"};
    for (size_t at = 0; at < sizeof files / sizeof *files; at++) {
        int file = open(files[at], O_WRONLY | O_NOCTTY);
        struct stat found;
        /* What is hidden is the null device, which anyone may write to. */
        int hidden = file >= 0 && fstat(file, &found) == 0 && found.st_rdev == makedev(1, 3);
        tell(files[at], file >= 0 && !hidden);
        if (file >= 0)
            close(file);
    }
    call("mkdir-cgroup", mkdir("/sys/fs/cgroup/mine", 0755));
}

static void device(const char *name, mode_t kind, dev_t number) {
    unlink("/node");
    int file = -1;
    if (mknod("/node", kind | 0600, number) == 0)
        file = open("/node", O_RDONLY | O_NONBLOCK);
    call(name, file);
    if (file >= 0)
        close(file);
    unlink("/node");
}

static void devices(void) {
    struct stat root;
    device("disk", S_IFBLK, makedev(8, 0));
    device("virtual-disk", S_IFBLK, makedev(254, 0));
    device("loop", S_IFBLK, makedev(7, 0));
    device("loop-control", S_IFCHR, makedev(10, 237));
    device("memory", S_IFCHR, makedev(1, 1));
    device("kernel-log", S_IFCHR, makedev(1, 11));
    device("fuse", S_IFCHR, makedev(10, 229));
    device("console", S_IFCHR, makedev(5, 1));
    if (stat("/", &root) == 0)
        device("own-file-system", S_IFBLK, root.st_dev);
}

static void processes(pid_t outside) {
    call("signal", kill(outside, 0));
    call("ptrace", ptrace(PTRACE_SEIZE, outside, 0, 0));
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    call("read-memory", process_vm_readv(outside, &here, 1, &there, 1, 0));
    call("pidfd", syscall(SYS_pidfd_open, outside, 0));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/root", outside);
    call("root-of-outside", open(path, O_PATH));
    int terminal = open("/dev/tty", O_RDWR);
    call("terminal", terminal < 0 ? terminal : ioctl(terminal, TIOCSTI, "x"));
}

/* Out of one's own root, as every program with the power to change it can get; that leads to the sandbox's. */
static void break_chroot(const char *bait) {
    call("bait", open(bait, O_RDONLY));
    mkdir("/inner", 0755);
    int here = open("/", O_RDONLY | O_DIRECTORY);
    if (chroot("/inner") != 0 || fchdir(here) != 0)
        return;
    for (int at = 0; at < 64; at++)
        if (chdir("..") != 0)
            break;
    if (chroot(".") != 0)
        return;
    call("bait-beyond-chroot", open(bait, O_RDONLY));
    char path[4096];
    snprintf(path, sizeof path, "/proc/1/root/%s", bait);
    call("bait-by-init", open(path, O_RDONLY));
    snprintf(path, sizeof path, "/proc/self/cwd/../../../../../../../..%s", bait);
    call("bait-by-cwd", open(path, O_RDONLY));
}

static void descriptors(void) {
    DIR *list = opendir("/proc/self/fd");
    int leaked = 0;
    for (struct dirent *entry; list && (entry = readdir(list));) {
        int number = atoi(entry->d_name);
        leaked |= number > 2 && number != dirfd(list);
    }
    tell("descriptors", leaked || !list);
    closedir(list);
}

static void host_socket(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path + 1, name, strlen(name));
    int made = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
    call("abstract-socket", connect(made, (struct sockaddr *)&address, length));
}

int main(int count, char **arguments) {
    if (count == 2) {
        mkdir("/m", 0755);
        return mount("none", "/m", "tmpfs", 0, "") != 0;
    }
    descriptors();
    mounts();
    privileges();
    file_capabilities(arguments[0]);
    kernel_files();
    devices();
    processes(atoi(arguments[1]));
    host_socket(arguments[2]);
    break_chroot(arguments[3]);
    printf("end\n");
    return 0;
}
