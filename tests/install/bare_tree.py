"""A bare Debian tree, and commands in it. Needs root, for chroot(2)."""

import os
import pathlib
import subprocess
import sys

SUITE = "bookworm"


def run(*command, timeout=900, **more):
    """The standard output of a command that succeeds."""
    done = subprocess.run([str(word) for word in command], timeout=timeout, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def make(tree, *options):
    """Makes the tree, from where this machine's packages come from."""
    if os.geteuid() != 0:
        sys.exit(f"{sys.argv[0]}: it needs root, for a tree of its own")
    sources = [path for path in map(pathlib.Path, ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"))
               if path.exists()]
    run("mmdebstrap", *options, SUITE, tree, *sources[:1])


def inside(tree, script):
    """Runs a shell script in the tree, with its own /proc and /dev/shm."""
    mounts = (f"mount -t proc proc {tree}/proc && mkdir -p {tree}/dev/shm && "
              f"mount -t tmpfs tmpfs {tree}/dev/shm && exec chroot {tree} sh -euc \"$1\"")
    return run("unshare", "--mount", "sh", "-c", mounts, "sh", script,
               env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
                    "DEBIAN_FRONTEND": "noninteractive"})
