"""What two sites share by X25519: sealed boxes, and the pair keys of the masks."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from .refusal import Refusal
from .streams import hkdf


def public(private: bytes) -> bytes:
    """The public half of an agreement key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def derive(private: bytes, peer: bytes, info: bytes) -> bytes:
    """HKDF(X25519(private, peer), info)."""
    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(
            X25519PublicKey.from_public_bytes(peer)
        )
    except ValueError as error:
        raise Refusal("protocol-signature") from error
    return hkdf(shared, info)


def pair_context(plan: str, one: str, other: str) -> bytes:
    """plan/first/second, the names in order."""
    return "/".join((plan, *sorted((one, other)))).encode()


def box_context(plan: str, dealer: str, receiver: str) -> bytes:
    """plan/dealer/receiver."""
    return f"{plan}/{dealer}/{receiver}".encode()


def pair_key(private: bytes, peer: bytes, context: bytes) -> bytes:
    """P_ij, the same at both ends."""
    return derive(private, peer, b"fedcgan/v1/pair/" + context)


def seal(private: bytes, peer: bytes, context: bytes, content: bytes, nonce: bytes) -> bytes:
    """nonce || ChaCha20-Poly1305(content), the context as associated data."""
    box = ChaCha20Poly1305(derive(private, peer, b"fedcgan/v1/share/" + context))
    return nonce + box.encrypt(nonce, content, context)


def unseal(private: bytes, peer: bytes, context: bytes, box: bytes) -> bytes:
    """The content, if ``peer`` sealed it for us in this context."""
    cipher = ChaCha20Poly1305(derive(private, peer, b"fedcgan/v1/share/" + context))
    try:
        return cipher.decrypt(box[:12], box[12:], context)
    except (InvalidTag, ValueError) as error:
        raise Refusal("protocol-signature") from error
