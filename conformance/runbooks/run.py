"""Runs the commands of the operators' pages as they stand.

    HUFU_BIN=…/hufu run.py [PAGE…]        pages of docs/operate; without any, all that have commands

A block ```sh is run; ```console and ```text are not. The blocks of a page run in order in one bash, each command of which must
succeed, in an empty folder, with `hufu` in the PATH, in a network of its own where every port is free, and as nobody else's
neighbour: what a page started ends with it. A block ```text right after a block ```sh is what it prints: each of its lines must
come, in that order, where … stands for anything. A line that begins with "! " is one that must refuse.

A page that goes on from another says so in a comment, <!-- runs after: deployment.md -->: that page's blocks run before.
"""

import dataclasses
import os
import pathlib
import re
import secrets
import selectors
import subprocess
import sys
import tempfile
import time

PAGES = pathlib.Path(__file__).resolve().parent.parent.parent / "docs/operate"
LIMIT_SECONDS = 180
AFTER = re.compile(r"<!-- runs after: (\S+) -->")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
# Everything that was started goes with the shell: it is the first process of its world.
WORLD = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--net", "--pid", "--mount", "--fork", "--kill-child=KILL", "--mount-proc"]


@dataclasses.dataclass
class Block:
    page: str
    line: int
    commands: str
    prints: list


class Failed(Exception):
    """A block that did not do what its page says."""


def blocks(text, page):
    """The blocks of a page that are run."""
    found, before, end = [], None, 0
    for fence in FENCE.finditer(text):
        kind, body = fence.groups()
        if kind == "sh":
            found.append(Block(page, text[: fence.start()].count("\n") + 2, body, []))
        elif kind == "text" and before == "sh" and text[end : fence.start()].strip() == "":
            found[-1].prints = body.splitlines()
        before, end = kind, fence.end()
    return found


def with_those_before(name, folder=PAGES, seen=()):
    """The blocks of a page, after those of the pages that it goes on from."""
    if name in seen:
        raise Failed(f"{name} runs after itself")
    text = (folder / name).read_text()
    before = [block for other in AFTER.findall(text) for block in with_those_before(other, folder, (*seen, name))]
    return before + blocks(text, name)


def printed(lines, output):
    """The first line that the block promised and did not print; nothing if all came, in order."""
    rest = iter(output.splitlines())
    for line in lines:
        shape = re.compile(".*".join(re.escape(part) for part in line.rstrip().split("…")) + r"\s*")
        if line.strip() and not any(shape.fullmatch(one) for one in rest):
            return line
    return None


class Shell:
    """One bash in a world of its own."""

    def __init__(self, folder, environment):
        self.mark = secrets.token_hex(16)
        setup = "ip link set lo up 2>/dev/null || true; exec bash --noprofile --norc"
        self.process = subprocess.Popen(
            [*WORLD, "bash", "-c", setup], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.run("set -Eeuo pipefail\nset +m\n")

    def run(self, commands, seconds=LIMIT_SECONDS):
        """What the commands say; with -e, bash ends at the first that fails."""
        # Of a command after "!" bash itself takes either outcome.
        commands = re.sub(r"(?m)^! (.*)$", r"{ ! \1; } || { echo 'this was not refused'; exit 1; }", commands)
        script = f"{commands}\nprintf '\\n%s\\n' {self.mark}\n"
        try:
            self.process.stdin.write(script.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        output, ends, until = b"", f"\n{self.mark}\n".encode(), time.monotonic() + seconds
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            while ends not in output:
                if not ready.select(max(0, until - time.monotonic())):
                    raise Failed(f"not done after {seconds} s\n{output.decode(errors='replace')}")
                piece = os.read(self.process.stdout.fileno(), 65536)
                if not piece:
                    raise Failed(output.decode(errors="replace"))
                output += piece
        return output.replace(ends, b"").decode(errors="replace")

    def close(self):
        self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def run_page(name, folder=PAGES, tell=print):
    """Runs a page; how many blocks of its own it has."""
    todo = with_those_before(name, folder)
    with tempfile.TemporaryDirectory(prefix="hufu-runbook-") as place:
        # Users of offices go through it to their own folders.
        os.chmod(place, 0o755)
        shell = Shell(place, environment(place))
        try:
            for block in todo:
                began = time.monotonic()
                try:
                    output = shell.run(block.commands)
                except Failed as failed:
                    raise Failed(f"{block.page}, line {block.line}:\n{block.commands}\n{failed}") from None
                missing = printed(block.prints, output)
                if missing is not None:
                    raise Failed(f"{block.page}, line {block.line}: does not print {missing!r}, but\n{output}")
                tell(f"        {block.page}:{block.line} in {time.monotonic() - began:.1f} s")
        finally:
            shell.close()
    return sum(block.page == name for block in todo)


def environment(place):
    """What a page's shell sees of ours: the way to programs and nothing more."""
    path = os.environ["PATH"]
    if hufu := os.environ.get("HUFU_BIN"):
        programs = pathlib.Path(place) / ".bin"
        programs.mkdir()
        (programs / "hufu").symlink_to(hufu)
        path = f"{programs}:{path}"
    return {"PATH": path, "HOME": str(place), "LANG": "C.UTF-8", "TERM": "dumb"}


def main():
    names = sys.argv[1:] or sorted(page.name for page in PAGES.glob("*.md") if blocks(page.read_text(), page.name))
    passed = failed = 0
    for name in names:
        try:
            count = run_page(name)
            passed += 1
            print(f"ok      {name}: {count} blocks")
        except Failed as told:
            failed += 1
            print(f"FAILED  {name}: {told}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
