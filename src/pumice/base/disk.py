"""Files written so that a crash leaves the old or the new, and errors of the disk told as such.

Everything here raises `DiskError` or `PermissionDenied` instead of `OSError`, except `sync_*`, whose callers
hold a transaction open and translate for themselves.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from pumice.errors import DiskError, PermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pumice.errors import PumiceError

__all__ = [
    "copy_file",
    "copy_into",
    "forget",
    "make_directories",
    "random_name",
    "remove_if_empty",
    "remove_tree",
    "start_writing",
    "sync_all",
    "sync_directory",
    "sync_file",
    "sync_file_system",
    "translate",
    "write_all",
    "write_atomic",
]

_FICLONE = 0x40049409
_LARGE = 1 << 20
"""From this size on the kernel copies by itself; below, read and write are cheaper (measured on ext4)."""
_MANY = 64
"""From so many files on, one sync of the whole file system is cheaper than one each (measured on ext4)."""

_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EBUSY, errno.EINVAL, errno.EACCES, errno.EPERM)

_HINTS = {
    errno.ENOSPC: ("no space left on the device", "free some space there and repeat the command"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or ask for a larger quota, then repeat"),
    errno.EIO: (
        "the device reports an input/output error",
        "look at the kernel's log (dmesg): the disk may be failing",
    ),
    errno.EROFS: ("the file system is read-only", "mount it writable, or choose another tree with --tree"),
    errno.EMFILE: ("too many open files", "raise the limit (ulimit -n) and repeat the command"),
    errno.ENFILE: ("too many open files in the whole system", "close some programs and repeat the command"),
    errno.ENOTDIR: ("a file is in the way", "move it away, or choose another place, such as another --tree"),
    errno.ENAMETOOLONG: ("the name is too long for this file system", ""),
}


def translate(error: OSError, doing: str) -> PumiceError:
    """The error to raise for `error`, which came while `doing` (`write /x/y`): says what to do next."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(
            f"cannot {doing}: permission denied",
            hint="run as a user who may write there, or choose another tree with --tree or --local",
        )
    reason, hint = _HINTS.get(error.errno or 0, ((error.strerror or str(error)).lower(), ""))
    return DiskError(f"cannot {doing}: {reason}", hint=hint)


def random_name(purpose: str = "tmp") -> str:
    """A hidden file name that nobody else uses."""
    return f".pumice-{purpose}-{os.urandom(8).hex()}"


def write_all(descriptor: int, data: bytes) -> None:
    """All of `data`, however little the kernel takes at a time. Raises OSError."""
    written = os.write(descriptor, data)
    if written < len(data):
        rest = memoryview(data)[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def start_writing(descriptor: int) -> None:
    """The kernel begins to write what the open file holds: syncing many files is then one wait, not many."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def write_atomic(path: str, data: bytes, mode: int = 0o644) -> None:
    """The file at `path` holds `data`, durably; whoever reads meanwhile sees the old file or the new one.

    `mode` is subject to the umask. The directory must exist. Raises DiskError or PermissionDenied.
    """
    directory = os.path.dirname(path)
    temporary = os.path.join(directory, random_name())
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            try:
                write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(temporary, path)
        except BaseException:
            forget(temporary)
            raise
        sync_directory(directory)
    except OSError as error:
        raise translate(error, f"write {path}") from error


def make_directories(path: str, mode: int = 0o755) -> list[str]:
    """`path` is a directory; the missing ones are made (`mode` less the umask).

    Gives those that were made, outermost first. Raises DiskError or PermissionDenied.
    """
    missing = []
    at = path
    try:
        while True:
            try:
                os.mkdir(at, mode)
            except FileExistsError:
                if not os.path.isdir(at):
                    raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", at) from None
                made = False
            except FileNotFoundError:
                if at == os.path.dirname(at):
                    raise
                missing.append(at)
                at = os.path.dirname(at)
                continue
            else:
                made = True
            break
        result = [at] if made else []
        for directory in reversed(missing):
            try:
                os.mkdir(directory, mode)
            except FileExistsError:  # somebody else made it just now
                if not os.path.isdir(directory):
                    raise
            else:
                result.append(directory)
    except OSError as error:
        raise translate(error, f"make the directory {path}") from error
    return result


def copy_file(source: str, target: str, mode: int = 0o644) -> None:
    """`target`, which must not exist, holds what `source` holds: shared blocks where the file system can.

    `mode` is subject to the umask; nothing is synced. Raises DiskError or PermissionDenied, and removes what
    it began.
    """
    try:
        output = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            copy_into(output, source)
        except BaseException:
            forget(target)
            raise
        finally:
            os.close(output)
    except OSError as error:
        raise translate(error, f"copy {source} to {target}") from error


def copy_into(output: int, source: str) -> None:
    """The empty file open as `output` takes what `source` holds. Raises OSError."""
    origin = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(origin).st_size
        if size >= _LARGE:
            try:
                fcntl.ioctl(output, _FICLONE, origin)
                return
            except OSError:  # not the same file system, or one that cannot share blocks
                pass
            try:
                while os.copy_file_range(origin, output, 1 << 30):
                    pass
                return
            except OSError as error:
                if error.errno not in (
                    errno.EXDEV,
                    errno.ENOSYS,
                    errno.EINVAL,
                    errno.EOPNOTSUPP,
                    errno.EPERM,
                ):
                    raise
        while data := os.read(origin, _LARGE):
            write_all(output, data)
    finally:
        os.close(origin)


def remove_tree(path: str) -> None:
    """Nothing is at `path` any more: a file, a symlink (not what it names) or a directory with all in it.

    No error when there was nothing. Raises DiskError or PermissionDenied.
    """
    try:
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
                return
        except FileNotFoundError:
            return
        order, pending = [], [path]
        while pending:
            directory = pending.pop()
            order.append(directory)
            with _listing(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        forget(entry.path)
        for directory in reversed(order):
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                pass
    except OSError as error:
        raise translate(error, f"remove {path}") from error


def _listing(directory: str) -> os._ScandirIterator[str]:
    """What lies in a directory that may have been made read-only."""
    try:
        if os.lstat(directory).st_mode & 0o300 != 0o300:
            os.chmod(directory, 0o700)
    except PermissionError:
        pass
    return os.scandir(directory)


def forget(path: str) -> None:
    """Nothing is at `path`: a file that is there goes away. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_if_empty(directory: str) -> bool:
    """Whether the directory is gone: it stays if it holds something or may not be removed. Raises OSError."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in _STAYS:
            return False
        raise
    return True


def sync_file(path: str) -> None:
    """What `path` holds is on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: str) -> None:
    """The names in the directory `path` are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot sync a directory
            raise
    finally:
        os.close(descriptor)


def sync_all(files: Iterable[str], directories: Iterable[str]) -> None:
    """All these files and directories, on one file system, are on the disk. Raises OSError."""
    files, directories = list(files), list(directories)
    if len(files) + len(directories) >= _MANY and sync_file_system((directories or files)[0]):
        return
    for file in files:
        sync_file(file)
    for directory in directories:
        sync_directory(directory)


def sync_file_system(path: str) -> bool:
    """Everything on the file system of `path` is on the disk; False where one cannot ask. Raises OSError."""
    try:
        import ctypes

        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (ImportError, OSError, AttributeError):
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(descriptor)
    return True
