"""Counter-signatures that sites sent, put into a bundle: each checked first, all of them or none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common.bundle.archive import write_zip
from common.bundle.contents import Contents, FolderContents, chunks
from common.bundle.paths import names_a_device
from common.bundle.signatures import SIGNATURE_LIMIT, Signature, path_of, read_site
from common.bundle.verification import Verified, verify
from common.errors import CounterSignatureError, StorageError


def add(bundle: Path, files: Sequence[Path]) -> Verified:
    """Add the sites' signatures in these files to a bundle, a folder or a zip. A repeated one is no fault.

    Raises CounterSignatureError for one that is not a rostered site's under this manifest, or that no bundle
    can hold; BundleError for a bundle that does not verify, StorageError; then nothing was added.
    """
    verified = verify(bundle, complete=False)
    made = [read_site(_read(path), str(path), verified.manifest) for path in files]
    for signature in made:
        if names_a_device(signature.name):
            raise CounterSignatureError(
                f"no bundle can hold {path_of(signature.name)}: it names a device on some systems",
                hint="leave this signature out",
            )
    if bundle.is_dir():
        for signature in made:
            signature.write(bundle / path_of(signature.name))
    else:
        _rewrite(bundle, verified.bundle.contents, made)
    return verify(bundle, complete=False)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(SIGNATURE_LIMIT + 1)
    except OSError as error:
        raise CounterSignatureError(
            f"{path} cannot be read: {error.strerror}", hint="ask the site to send NAME.signature.json again"
        ) from error


def _rewrite(bundle: Path, contents: Contents, made: Sequence[Signature]) -> None:
    """The zip anew, with these signatures in it."""
    folder = Path(tempfile.mkdtemp(prefix=f".{bundle.name}.", dir=bundle.parent))
    try:
        for path, size in contents.sizes.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with contents.open(path) as source, (folder / path).open("xb") as target:
                for chunk in chunks(source, size):
                    target.write(chunk)
        for signature in made:
            signature.write(folder / path_of(signature.name))
        write_zip(FolderContents(folder), bundle)
    except OSError as error:
        raise StorageError(f"{bundle} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
