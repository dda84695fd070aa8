"""That a page whose commands do not do what it says is found."""

import os
import pathlib
import tempfile
import time
import unittest

import run

FIRST = """# A page
```sh
word=tiger
echo "$word" > file
cat file; echo 'and 17 more'
```
```text
tiger
and … more
```
Not run:
```console
$ exit 1
```
```text
nothing of ours
```
"""
SECOND = """# Another
<!-- runs after: first.md -->
```sh
[[ "$word" == tiger && -f file ]]
```
"""


class Pages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.write("first.md", FIRST)
        self.write("second.md", SECOND)

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def run_page(self, name):
        return run.run_page(name, self.folder, tell=lambda line: None)

    def fails(self, text, because):
        self.write("wrong.md", text)
        with self.assertRaises(run.Failed) as caught:
            self.run_page("wrong.md")
        self.assertIn(because, str(caught.exception))

    def test_blocks_run_in_order_in_one_shell_after_those_of_the_page_before(self):
        self.assertEqual(self.run_page("first.md"), 1)
        self.assertEqual(self.run_page("second.md"), 1)

    def test_every_page_has_a_folder_of_its_own(self):
        self.run_page("first.md")
        self.fails("```sh\ncat file\n```\n", "No such file")

    def test_a_command_that_fails_fails_the_page_with_its_line_even_in_the_middle(self):
        self.fails("# x\n\n```sh\ntrue\nls /nowhere\ntrue\n```\n", "wrong.md, line 4")
        self.fails("```sh\nfalse | true\n```\n", "line 2")
        self.fails("```sh\necho $never_set\n```\n", "unbound")

    def test_a_command_that_must_refuse_and_does_not_is_found(self):
        self.fails("```sh\n! false\n! true\ntrue\n```\n", "this was not refused")
        self.write("refuses.md", "```sh\n! false\n```\n")
        self.run_page("refuses.md")

    def test_what_is_promised_and_not_printed_is_found(self):
        self.fails(FIRST.replace("echo 'and 17 more'", "echo 'and 17 fewer'"), "and … more")
        self.fails(FIRST.replace("tiger\nand … more", "and … more\ntiger"), "does not print 'tiger'")

    def test_a_page_that_runs_after_itself_is_refused(self):
        self.fails("<!-- runs after: wrong.md -->\n```sh\ntrue\n```\n", "after itself")

    def test_what_a_page_starts_ends_with_it_and_no_port_is_taken_from_anybody(self):
        marker = self.folder / "alive"
        server = "import socket, time\ns = socket.create_server(('127.0.0.1', 8420))\n"
        server += f"while True: open({str(marker)!r}, 'a').write('x'); time.sleep(0.05)"
        self.write("server.py", server)
        page = f"```sh\npython3 {self.folder}/server.py &\nuntil [ -s {marker} ]; do sleep 0.05; done\n```\n"
        for _ in range(2):
            self.write("starts.md", page)
            self.run_page("starts.md")
            size = marker.stat().st_size
            time.sleep(0.3)
            self.assertEqual(marker.stat().st_size, size)
            os.remove(marker)

    def test_a_page_that_hangs_is_ended(self):
        shell = run.Shell(self.folder, {"PATH": os.environ["PATH"]})
        with self.assertRaises(run.Failed) as caught:
            shell.run("echo begun; sleep 60", seconds=1)
        shell.close()
        self.assertIn("begun", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
