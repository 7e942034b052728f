"""The command line of a federation's coordinator: its folder, its members, its certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from common.terminal import guarded, output, print_result

if TYPE_CHECKING:
    from .federation import FederationFolder
    from .members import Member

app = typer.Typer(
    name="fedcgan federation",
    help="A real federation: start one, invite sites, admit their replies.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON envelope.")]
Where = Annotated[Path, typer.Option("--federation", help="The federation's folder.")]
Name = Annotated[str, typer.Argument(help="The site's name.")]


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new folder; everything of the coordinator's is in it.")],
    name: Annotated[str, typer.Option(help="The federation's name.")],
    address: Annotated[str, typer.Option(help="host:port that sites connect to.")],
    schema: Annotated[Path, typer.Option(help="The agreed schema, TOML.")],
    edge: Annotated[
        str,
        typer.Option(
            help="nginx; external, if it is started elsewhere; none: only this machine itself can take part."
        ),
    ] = "nginx",
    link_port: Annotated[
        int | None, typer.Option("--link-port", help="SuperLink's port on this machine (18000).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a federation: the coordinator's identity, a certificate authority, the server's certificate."""
    from common.schema import Schema

    from .federation import FederationFolder
    from .federation_settings import Settings

    settings = Settings.make(name, address, edge, link_port)
    made = FederationFolder.init(folder, settings, Schema.load(schema))
    data = {
        "folder": str(folder),
        **settings.model_dump(),
        "coordinator": made.coordinator.model_dump(),
        "schema": made.schema.hash,
    }

    def human() -> None:
        output.print(
            f"{folder}: federation {name}, schema {made.schema.hash[:12]}", highlight=False, soft_wrap=True
        )
        output.print(
            f"next   fedcgan federation invite SITE --federation {folder}", highlight=False, soft_wrap=True
        )
        output.print(
            "Keep a backup of this folder where nobody else can read it.", highlight=False, soft_wrap=True
        )

    print_result(data, as_json, human)


@app.command()
def start(
    federation: Where = Path(),
    rehearse: Annotated[
        bool, typer.Option(help="Rehearse, on made-up records, with every site that comes online.")
    ] = True,
) -> None:
    """Keep SuperLink and its edge running and let admitted sites in, until it is ended."""
    from .start import start as keep

    keep(open_federation(federation), rehearse)


@app.command()
def invite(
    name: Name,
    federation: Where = Path(),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the kit goes (NAME.kit.zip).")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="How long the kit can be answered.")] = 14,
    as_json: Json = False,
) -> None:
    """Make the kit for one site. It holds a PIN that is good once: send it to that site alone."""
    from datetime import timedelta

    file = open_federation(federation).invite(name, timedelta(days=days))
    path = out or Path(f"{name}.kit.zip")
    file.write(path)
    data = {"kit": str(path), "site": name, "expires": file.kit.model_dump(mode="json")["expires"]}

    def human() -> None:
        output.print(
            f"{path}: for {name}, until {file.kit.expires:%Y-%m-%d %H:%M} UTC",
            highlight=False,
            soft_wrap=True,
        )
        output.print(f"there  fedcgan site join {path.name} ...", highlight=False, soft_wrap=True)

    print_result(data, as_json, human)


@app.command()
def admit(
    reply: Annotated[Path, typer.Argument(help="What the site sent back: NAME.reply.json.")],
    federation: Where = Path(),
    fingerprint: Annotated[
        str | None,
        typer.Option(help="The fingerprint that the site read to you; nobody is admitted if it differs."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a site that replied a member, and end its PIN."""
    from common.join_reply import JoinReply

    folder = open_federation(federation)
    member = folder.admit(JoinReply.read(reply), fingerprint)
    printed = folder.fingerprint(member)

    def human() -> None:
        output.print(f"{member.name} is a member", highlight=False, soft_wrap=True)
        output.print(f"fingerprint   {printed}", highlight=False, soft_wrap=True)
        if fingerprint is None:
            output.print(
                f"Call {member.name} on a number you know: do they read the same? "
                f"If not: fedcgan federation revoke {member.name}",
                highlight=False,
                soft_wrap=True,
            )

    print_result({**_facts(folder, member), "compared": fingerprint is not None}, as_json, human)


@app.command("list")
def list_members(federation: Where = Path(), as_json: Json = False) -> None:
    """Everybody who was ever invited, and how they stand."""
    folder = open_federation(federation)
    members = folder.members()
    settings = folder.settings
    data = {
        **settings.model_dump(),
        "coordinator": folder.coordinator.model_dump(),
        "schema": folder.schema.hash,
        "members": [_facts(folder, member) for member in members],
    }

    def human() -> None:
        table = Table(box=None, pad_edge=False)
        for heading in ("site", "state", "since (UTC)", "fingerprint"):
            table.add_column(heading)
        for member in members:
            since = {"invited": member.invited, "admitted": member.admitted, "revoked": member.revoked}
            time = since[member.state]
            print_of = folder.fingerprint(member) if member.identity else ""
            table.add_row(member.name, member.state, f"{time:%Y-%m-%d %H:%M}" if time else "", print_of)
        output.print(
            f"{settings.name} at {settings.address}, {len(members)} invited so far",
            highlight=False,
            soft_wrap=True,
        )
        output.print(table)

    print_result(data, as_json, human)


@app.command()
def revoke(name: Name, federation: Where = Path(), as_json: Json = False) -> None:
    """Shut a member out, or end an invitation. Its keys are never taken again."""
    folder = open_federation(federation)
    member = folder.revoke(name)

    def human() -> None:
        output.print(f"{name} is revoked", highlight=False, soft_wrap=True)
        output.print(
            "Plans that name it as a site need it still: make new ones without it.",
            highlight=False,
            soft_wrap=True,
        )

    print_result(_facts(folder, member), as_json, human)


@app.command()
def certificate(federation: Where = Path(), as_json: Json = False) -> None:
    """Make the server a new key and certificate. Sites need nothing new; the server is to be restarted."""
    made = open_federation(federation).renew_certificate()
    until = made.not_valid_after_utc

    def human() -> None:
        output.print(
            f"a new server certificate, valid until {until:%Y-%m-%d}", highlight=False, soft_wrap=True
        )

    data = {"serial": f"{made.serial_number:x}", "expires": until.isoformat()}
    print_result(data, as_json, human)


def open_federation(folder: Path) -> FederationFolder:
    """The federation in this folder. Raises FederationError."""
    from .federation import FederationFolder

    return FederationFolder.open(folder)


def _facts(folder: FederationFolder, member: Member) -> dict[str, object]:
    """A member as it may be shown, with its fingerprint once it has keys."""
    return {**member.facts(), "fingerprint": folder.fingerprint(member) if member.identity else None}


def main() -> int:
    """Run the command line; returns the exit code."""
    return guarded(app)
