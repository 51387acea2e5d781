"""Write service-files/: the units and property lists of openclawd, for who packages it. Run by hand after a
change of openclawd/service/: .venv/bin/python -P packaging/service_files.py

They start /usr/bin/openclawd, which the package replaces; `openclawd gateway install` makes its own, from the
same functions.
"""

from pathlib import Path

from openclawd.service.plist import NAME, JobSpec, agent_log, daemon_log, plist_text
from openclawd.service.unit import ServiceSpec, service_text, socket_text

FOLDER = Path(__file__).resolve().parent.parent / "service-files"
PROGRAM = "/usr/bin/openclawd"
MAC_PROGRAM = "/usr/local/bin/openclawd"
# Of `bind: loopback`, which is what a gateway does unless its config says otherwise.
ADDRESSES = ("127.0.0.1:18789", "[::1]:18789")


def service_files() -> dict[str, str]:
    """Names below service-files/, and texts."""
    agent = JobSpec(program=(MAC_PROGRAM, "gateway"), log_file=str(agent_log(Path("/Users/you"), NAME)))
    daemon = JobSpec(program=(MAC_PROGRAM, "gateway"), log_file=str(daemon_log(NAME)), user="you")
    return {
        "openclawd.service": service_text(ServiceSpec(program=(PROGRAM,), guarded=False)),
        "openclawd.socket": socket_text("openclawd", ADDRESSES),
        "system/openclawd.service": service_text(ServiceSpec(program=(PROGRAM,), guarded=False, system=True)),
        "ai.openclawd.gateway.plist": plist_text(agent),
        "system/ai.openclawd.gateway.plist": plist_text(daemon),
    }


def main() -> None:
    for name, text in service_files().items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text)
        print(f"service-files/{name}")


if __name__ == "__main__":
    main()
