"""The disk of a machine whose power is cut, of what the killer (tests/lab/killer) noted of its files."""

import os
import re
import shutil
import stat

import machine as m


def unescape(text):
    return re.sub(rb"%(..)", lambda found: bytes([int(found[1], 16)]), text.encode()).decode("utf-8", "surrogateescape")


class Disk:
    """What `killer --disk` kept of what was synced (tests/lab/killer/disk.h), as a tree that a power cut leaves."""

    def __init__(self, kept, lower):
        self.kept, self.lower, self.root = kept, lower, None
        self.contents, self.directories, self.inodes = {}, {}, {}  # by inode; the last by path
        with open(kept + "/index") as index:
            for line in index:
                kind, *words = line.split()
                if kind == "file":
                    self.contents[words[0]] = words[1:]
                elif kind == "dir":
                    self.directory(words[0], unescape(words[1]).strip("/"))
                else:
                    self.entries[unescape(words[0])] = words[1:]

    def in_image(self, path):
        """The directory that the image has at PATH: where it hides this host's, only its own. None: it has none."""
        hides = any(path == hidden or path.startswith(hidden + "/") for hidden in m.HIDDEN)
        layers = self.lower[:1] if hides else self.lower
        return next((f"{layer}/{path}" for layer in layers if os.path.isdir(f"{layer}/{path}")), None)

    def directory(self, inode, path):
        self.entries = self.directories[inode] = {}
        self.inodes[path] = inode
        if path == "":
            self.root = inode
        # What the image has is there, whether or not somebody synced its name.
        parts = path.split("/") if path else []
        for i in range(1, len(parts) + 1):
            above, here = "/".join(parts[:i - 1]), "/".join(parts[:i])
            image = self.in_image(here)
            if image is None or above not in self.inodes:
                break
            if here not in self.inodes:
                self.inodes[here] = "image:" + here
                self.directories[self.inodes[here]] = {}
            mode = stat.S_IMODE(os.lstat(image).st_mode)
            self.directories[self.inodes[above]][parts[i - 1]] = ["d", self.inodes[here], f"{mode:o}", "0", "0", "-"]

    def write(self, target, live):
        """LIVE, the tree at the moment of the cut: names are as there, and content that was not synced is lost. None:
        what was not synced is lost, names too."""
        if live is None:
            os.makedirs(target)
            self.write_directory(self.root, target)
            return
        m.copy(live, target)
        for directory, _, files in os.walk(live):
            for name in files:
                path = os.path.join(directory, name)
                st = os.lstat(path)
                if stat.S_ISREG(st.st_mode):
                    self.write_content(str(st.st_ino), target + path[len(live):])

    def write_content(self, inode, path):
        kept = self.contents.get(inode)
        with open(path, "wb") as out:
            if kept is not None:
                with open(f"{self.kept}/{kept[3]}", "rb") as content:
                    shutil.copyfileobj(content, out)
        if kept is not None:
            os.chown(path, int(kept[1]), int(kept[2]))
            os.chmod(path, int(kept[0], 8))

    def write_directory(self, inode, target):
        for name, (kind, child, mode, uid, gid, link) in self.directories.get(inode, {}).items():
            path = f"{target}/{name}"
            if kind == "d":
                os.makedirs(path)
                self.write_directory(child, path)
            elif kind == "l":
                os.symlink(unescape(link), path)
                continue
            elif kind == "w":
                os.mknod(path, stat.S_IFCHR, 0)
                continue
            else:
                self.write_content(child, path)
            if kind != "f" or child not in self.contents:
                os.chown(path, int(uid), int(gid))
                os.chmod(path, int(mode, 8))
