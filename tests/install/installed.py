"""What `cmake --install` leaves, used as a user of it does: programs of others that find it, shells that
complete its command, readers of its man pages. As: installed.py BUILD WORK

Everything happens below WORK, which is emptied first.
"""

import json
import os
import pathlib
import re
import select
import shutil
import sqlite3
import subprocess
import sys
import time
import unittest

BUILD, WORK = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
SOURCE = pathlib.Path(__file__).resolve().parents[2]
PREFIX = WORK / "prefix"
ENVIRONMENT = {**os.environ, "PATH": f"{PREFIX / 'bin'}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
# Tests of others may have set it.
ENVIRONMENT.pop("LAMBDAML_WORKER", None)


def run(*command, cwd=WORK, environment=ENVIRONMENT, timeout=600):
    """The standard output of a command that succeeds."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment, timeout=timeout,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def setUpModule():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    run("cmake", "--install", BUILD, "--prefix", PREFIX)


class Examples(unittest.TestCase):
    """Programs outside the tree, which use find_package only."""

    @classmethod
    def setUpClass(cls):
        for name in ("train", "store"):
            folder = WORK / name
            shutil.copytree(SOURCE / "examples" / "cpp" / name, folder)
            run("cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={PREFIX}")
            run("cmake", "--build", folder / "build")

    def test_a_program_trains_through_the_api(self):
        folder = WORK / "train"
        out = run(folder / "build" / "train", "generated", "workers=3", "epochs=4", "optim=model_avg", cwd=folder)
        summary = json.loads(out.splitlines()[-1])
        self.assertEqual((summary["workers"], summary["rows"], summary["epochs"]), (3, 20000, 4))
        self.assertGreater(summary["valid_accuracy"], 0.6)
        self.assertEqual(out.count("epoch "), 4)
        self.assertIn("1000 predictions", out)
        model = json.loads(run("lambdaml", "model", summary["model_path"], "--json", cwd=folder).splitlines()[-1])
        self.assertEqual(len(model["features"]), 28)

    def test_an_option_that_does_not_exist_is_one_line(self):
        program = WORK / "train" / "build" / "train"
        done = subprocess.run([program, "generated", "epoch=3"], env=ENVIRONMENT, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("epochs", done.stderr)

    def test_a_program_trains_over_a_store_of_its_own(self):
        folder = WORK / "store"
        out = run(folder / "build" / "train_over_sqlite", folder / "jobs.db", cwd=folder)
        summary = json.loads(out.splitlines()[-1])
        self.assertEqual(summary["workers"], 3)
        self.assertTrue(summary["channel"].startswith("sqlite://"), summary["channel"])
        self.assertGreater(summary["rounds"], 0)
        self.assertGreater(summary["valid_accuracy"], 0.6)
        with sqlite3.connect(folder / "jobs.db") as database:
            self.assertEqual(database.execute("select count(*) from pages").fetchone(), (0,))


class Development(unittest.TestCase):
    def test_pkg_config_names_what_a_program_links(self):
        environment = {**ENVIRONMENT, "PKG_CONFIG_PATH": str(PREFIX / "lib" / "pkgconfig")}
        self.assertEqual(run("pkg-config", "--modversion", "lambdaml", environment=environment).strip(), version())
        flags = run("pkg-config", "--cflags", "--libs", "lambdaml", environment=environment).split()
        (WORK / "names.cc").write_text("""
            #include <cstdio>
            #include "lambdaml/storage/registry.h"
            int main() {
              for (const auto& name : lambdaml::storage::registry().names()) std::puts(name.c_str());
            }""")
        run("g++", "-std=c++20", "names.cc", "-o", "names", *flags)
        self.assertTrue({"file", "memory", "s3", "redis"} <= set(run(WORK / "names").split()))

    def test_installed_headers_include_nothing_that_is_not_there(self):
        folder = PREFIX / "include"
        headers = sorted(path.relative_to(folder) for path in folder.rglob("*.h"))
        self.assertGreater(len(headers), 100)
        (WORK / "headers.cc").write_text("".join(f'#include "{header}"\n' for header in headers))
        run("g++", "-std=c++20", "-fsyntax-only", f"-I{folder}", "headers.cc")


class ManPages(unittest.TestCase):
    def pages(self):
        return sorted((PREFIX / "share" / "man" / "man1").glob("*.1"))

    def test_every_command_has_one(self):
        names = {page.stem for page in self.pages()}
        self.assertIn("lambdaml-worker", names)
        for command in re.findall(r"^  ([a-z]+)  ", run("lambdaml", "--help"), re.MULTILINE):
            self.assertIn(f"lambdaml-{command}", names)

    def test_mandoc_finds_nothing_wrong(self):
        run("mandoc", "-T", "lint", "-W", "warning", *self.pages())

    def test_man_shows_the_options(self):
        environment = {**ENVIRONMENT, "MANWIDTH": "100", "MANROFFOPT": "-ww"}
        text = run("man", "-l", PREFIX / "share" / "man" / "man1" / "lambdaml-train.1", environment=environment)
        text = re.sub(r".\x08", "", text)
        for option in ("--channel", "--batch-size", "--sync-mode", "--no-keep"):
            self.assertIn(option, text)


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, command, environment):
        import pty

        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            os.chdir(WORK)
            os.execvpe(command[0], command, {**ENVIRONMENT, **environment, "TERM": "xterm", "COLUMNS": "200"})

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def wait_for(self, pattern, seconds=20):
        """What was printed until the pattern is found, without the sequences that control a terminal."""
        text = ""
        end = time.monotonic() + seconds
        while not re.search(pattern, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.descriptor], [], [], left)[0]:
                raise AssertionError(f"no {pattern!r} in {text!r}")
            text += os.read(self.descriptor, 65536).decode(errors="replace")
        return text

    def close(self):
        os.close(self.descriptor)
        os.waitpid(self.process, 0)


class Completions(unittest.TestCase):
    """The scripts in their shells."""

    def complete_in_bash(self, line):
        """The candidates for the last word of a line, as the shell computes them."""
        script = PREFIX / "share" / "bash-completion" / "completions" / "lambdaml"
        words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith((" ", "=")) else [])
        return run("bash", "-c", 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lambdaml; '
                   'printf "%s\\n" "${COMPREPLY[@]}"', "bash", script, *words).split()

    def test_bash_completes_commands_options_and_values(self):
        self.assertEqual(self.complete_in_bash("lambdaml tr"), ["train"])
        self.assertEqual(set(self.complete_in_bash("lambdaml data ")), {"synth", "split", "info"})
        self.assertIn("--sync-mode", self.complete_in_bash("lambdaml train --sy"))
        self.assertEqual(set(self.complete_in_bash("lambdaml train --sync-mode ")),
                         {"reduce", "reduce_scatter", "async"} | self.other_patterns())
        self.assertEqual(self.complete_in_bash("lambdaml train --optim=lb"), ["lbfgs"])
        self.assertIn("redis://", self.complete_in_bash("lambdaml train --channel "))
        self.assertEqual(self.complete_in_bash("lambdaml train --momentum "), [])

    def other_patterns(self):
        options = json.loads(run("lambdaml", "options", "--json").splitlines()[-1])["options"]
        return {choice for option in options if option["name"] == "sync_mode" for choice in option["choices"]}

    def test_bash_completes_on_a_terminal(self):
        script = PREFIX / "share" / "bash-completion" / "completions" / "lambdaml"
        shell = Terminal(["bash", "--norc", "--noprofile", "-i"], {"PS1": "ready> "})
        try:
            shell.wait_for("ready> ")
            shell.type(f". {script}\n")
            shell.wait_for("ready> ")
            shell.type("lambdaml tra\t--optim lbf\t")
            shell.wait_for("train --optim lbfgs ")
        finally:
            shell.close()

    def test_zsh_completes_on_a_terminal(self):
        functions = PREFIX / "share" / "zsh" / "site-functions"
        shell = Terminal(["zsh", "-f", "-i"], {"PS1": "ready> "})
        try:
            shell.wait_for("ready> ")
            shell.type(f"fpath=({functions} $fpath); autoload -U compinit; compinit -u -D; PS1='go''> '\n")
            shell.wait_for("go> ")
            shell.type("lambdaml tra\t")
            shell.wait_for("train ")
            shell.type("--optim lbf\t")
            shell.wait_for("lbfgs ")
        finally:
            shell.close()

    def test_fish_completes(self):
        script = PREFIX / "share" / "fish" / "vendor_completions.d" / "lambdaml.fish"

        def complete(line):
            out = run("fish", "--no-config", "-c", f"source {script}; complete -C '{line}'",
                      environment={**ENVIRONMENT, "HOME": str(WORK)})
            return {row.split("\t")[0] for row in out.splitlines()}

        self.assertIn("train", complete("lambdaml tr"))
        self.assertIn("synth", complete("lambdaml data "))
        self.assertNotIn("train", complete("lambdaml data "))
        self.assertIn("lbfgs", complete("lambdaml train --optim "))
        self.assertIn("--sync-mode", complete("lambdaml train --sync"))


def version():
    return run("lambdaml", "--version").split()[-1]


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
