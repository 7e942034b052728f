#!/bin/sh
# For a site without internet: everything that fedcgan needs, in one folder, to be carried in.
#   deploy/wheelhouse.sh FOLDER [TORCH_INDEX]
# Run it where there is internet, with the same Python version, processor and a C library no newer than at the site.
# TORCH_INDEX: default torch's CPU builds; https://pypi.org/simple for the CUDA build.
# EXTRAS=dicom,edf,wfdb adds the formats of images and signals.
# At the site, and nothing is asked from anywhere:
#   cd FOLDER && sha256sum --check --strict SHA256SUMS
#   python3 -m venv /opt/fedcgan
#   /opt/fedcgan/bin/pip install --no-index --find-links . --constraint constraints.txt fedcgan
# and with the same extras, without which their wheels stay where they are: 'fedcgan[dicom,edf,wfdb]'.
# The checksums tell damage on the way. That the folder is the sender's, only a signature or SHA256SUMS's own hash,
# read out by telephone, can tell.
set -eu
umask 022
case "${1:-}" in
"" | -*)
    sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
torch_index=${2:-https://download.pytorch.org/whl/cpu}
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
if [ -n "$(ls -A "$folder")" ]; then
    echo "wheelhouse.sh: $folder is not empty" >&2
    exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# Built from a copy: setuptools leaves folders behind.
mkdir "$work/source"
(cd "$here" && tar -cf - --exclude=__pycache__ server client common pyproject.toml constraints.txt README.md LICENSE) |
    tar -xf - -C "$work/source"
"$python" -m venv "$work/venv"
pip() { "$work/venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

# torch from its index alone, the rest from the package index alone: with both at once, either could bring a
# package of the other's name.
pip download --no-deps --only-binary :all: --dest "$folder" --index-url "$torch_index" \
    "$(grep '^torch==' "$here/constraints.txt")"
pip wheel --no-deps --wheel-dir "$folder" "$work/source"
own=$(echo "$folder"/fedcgan-*.whl)
# `pip wheel`, not `pip download`: what comes as source is built here, the site needs no compiler.
pip wheel --wheel-dir "$folder" --find-links "$folder" --constraint "$here/constraints.txt" \
    "$own${EXTRAS:+[$EXTRAS]}"

cp "$here/constraints.txt" "$folder/"
(cd "$folder" && sha256sum -- *.whl constraints.txt > SHA256SUMS)
echo "$(ls "$folder"/*.whl | wc -l) wheels, $(du -sh "$folder" | cut -f1), in $folder"
echo "SHA-256 of SHA256SUMS: $(sha256sum < "$folder/SHA256SUMS" | cut -d' ' -f1)"
