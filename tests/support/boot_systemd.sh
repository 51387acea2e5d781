#!/bin/bash
# Become systemd, process 1 of namespaces of its own: boot_systemd.sh FOLDER [SHOWN ...]
#
# FOLDER/units holds its units, among them boot.target; FOLDER/share is /share inside, for what goes in and out.
# Each SHOWN folder is there under its own path, read-only. The rest of the system is the host's /usr, read-only,
# and folders that go away with it. Called inside `unshare --mount --pid --cgroup ...`, as its process 1.
set -eu
folder=$1
shift
root=$folder/root
mkdir -p "$root"
mount -t tmpfs -o mode=755 tmpfs "$root"
cd "$root"
mkdir -p usr etc/systemd/system etc/systemd/user proc sys dev run tmp root share var/log var/tmp .host

mount --bind /usr usr
mount -o remount,bind,ro usr
# An administrator's own commands go there.
mkdir -p .over/upper .over/work
mount -t overlay -o "lowerdir=usr/local/bin,upperdir=.over/upper,workdir=.over/work" overlay usr/local/bin
for name in bin sbin lib lib32 lib64; do
    [ ! -L "/$name" ] || cp -P "/$name" .
done
cp /etc/ld.so.cache etc/
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >etc/group
# journald writes below this id.
printf '%032d\n' 1 >etc/machine-id
cp "$folder"/units/* etc/systemd/system/

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
ln -s /proc/self/fd dev/fd
mkdir dev/shm dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 tmpfs run
mount --bind "$folder/share" share
for shown in "$@"; do
    mkdir -p ".$shown"
    mount --bind "$shown" ".$shown"
    mount -o remount,bind,ro ".$shown"
done

# What the machine before this one had on its disk; then it boots as far as a server does.
target=boot.target
if [ -d share/kept/disk ]; then
    for part in etc home opt usr/local/bin var/lib; do
        [ ! -d "share/kept/disk/$part" ] || { mkdir -p "$part" && cp -a "share/kept/disk/$part/." "$part/"; }
    done
    mkdir -p etc/systemd/system/multi-user.target.wants
    ln -sf ../script.service etc/systemd/system/multi-user.target.wants/
    target=multi-user.target
fi

pivot_root . .host
umount -l /.host
# systemd leaves this to whoever makes a container; without it, no service sees its credentials.
mount --make-rshared /
ip link set lo up
exec env -i container=openclawd-test PATH=/usr/local/bin:/usr/sbin:/usr/bin /usr/lib/systemd/systemd \
    --unit="$target" --log-target=console --log-level=notice --show-status=false
