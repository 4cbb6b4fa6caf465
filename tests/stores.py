"""Object stores in memory, for Beam to find by their scheme."""

import gzip
import io

from apache_beam.io.filesystem import FileMetadata, FileSystem


class ShelfFileSystem(FileSystem):
    """Files under shelf://, to be read only: what object stores share."""

    files: dict[str, bytes] = {}

    @classmethod
    def scheme(cls):
        return "shelf"

    def open(self, path, mime_type=None, compression_type="auto"):
        if path not in self.files:
            raise OSError(f"{path} is not on the shelf")
        if compression_type == "auto" and path.endswith(".gz"):
            return io.BytesIO(gzip.decompress(self.files[path]))
        return io.BytesIO(self.files[path])

    def _list(self, dir_or_prefix):
        for path in list(self.files):
            if path.startswith(dir_or_prefix):
                yield self.metadata(path)

    def has_dirs(self):
        return False

    def split(self, path):
        head, _, tail = path.rpartition("/")
        return head, tail

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def exists(self, path):
        return path in self.files

    def size(self, path):
        return len(self.files[path])

    def metadata(self, path):
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def last_updated(self, path):
        return 0.0

    def _unused(self, *arguments, **named):
        raise NotImplementedError

    mkdirs = create = copy = rename = checksum = delete = _unused


class CrateFileSystem(ShelfFileSystem):
    """Files under crate://, which can be written to."""

    files: dict[str, bytes] = {}

    @classmethod
    def scheme(cls):
        return "crate"

    def create(self, path, mime_type=None, compression_type="auto"):
        files = self.files

        class Put(io.BytesIO):
            def close(self):
                files[path] = self.getvalue()
                super().close()

        return Put()


class Killed(BaseException):
    """Stands for the end of a process."""


class BucketFileSystem(ShelfFileSystem):
    """Files under bucket://: a put is whole, there is no rename, and after ``changes_left``
    changes whoever makes the next is killed."""

    files: dict[str, bytes] = {}
    moments: dict[str, float] = {}
    changes_left: int | None = None

    @classmethod
    def scheme(cls):
        return "bucket"

    @classmethod
    def change(cls):
        if cls.changes_left is not None:
            cls.changes_left -= 1
            if cls.changes_left < 0:
                raise Killed

    def create(self, path, mime_type=None, compression_type="auto"):
        files, moments, change = self.files, self.moments, self.change

        class Put(io.BytesIO):
            def close(self):
                if not self.closed:
                    change()
                    files[path] = self.getvalue()
                    moments[path] = max(moments.values(), default=0.0) + 1.0
                super().close()

            def __exit__(self, kind, *_):
                if kind is None:
                    self.close()

        return Put()

    def open(self, path, mime_type=None, compression_type="auto"):
        if path not in self.files:
            raise FileNotFoundError(path)
        return io.BytesIO(self.files[path])

    def delete(self, paths):
        for path in paths:
            self.change()
            del self.files[path]

    def last_updated(self, path):
        return self.moments[path]
