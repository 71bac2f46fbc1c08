"""Runs the commands of one page of the documentation. As: snippets.py BUILD PAGE

A fenced block says by its first line what it is:

    ```sh run        is run by bash, in a temporary folder that all blocks of the page share, in their order; what it
                     leaves running is ended with the page
    ```sh serve      a server in each line: it is started alone, must listen, and end when it is interrupted
    ```python run    is run by Python there, with this build's package
    ```yaml FILE     is written to that file of the folder
    ```sh aws        needs AWS, ```sh elsewhere a cluster or an address: the command checks each of its commands and
                     options, and runs none
    ```sh clone      is run in a clone: its `make` goals must exist, and its commands are checked
    ```python aws    needs AWS: its syntax is checked
    ```python elsewhere  is run by another test, which names the page

What a page takes for granted is made by blocks that readers do not see: the same between `<!-- sh run` and `-->`.
`<!-- python before` holds lines that stand before the next block of Python.

Any other block is text; in it, and in indented blocks, each line that begins with `lambdaml` is checked like one
that needs AWS. Of the README and of docs/ each command must be in a block of the kinds above. Servers that a page names
by their usual addresses (redis://127.0.0.1:6379) are started for it; those, and the ports of servers that the page
starts itself (9001, 8080, 27000), are others in the test.
"""

import ast
import doctest
import importlib.util
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1]).resolve()
PAGE = pathlib.Path(sys.argv[2]).resolve()
SOURCE = pathlib.Path(__file__).resolve().parents[2]
BLOCK_S = 240  # the longest that a block may take

# The kinds of blocks, by what is done with them.
RUN = ("sh run", "sh serve", "python run", "python before")
CHECKED = ("sh aws", "sh elsewhere", "sh clone", "python aws", "python elsewhere")

# A page whose blocks are made of docstrings, and what they take for granted. Those that name S3 or a role are only read.
FROM_DOCSTRINGS = "python-api.md"
PREPARATION = "lambdaml data synth higgs --rows 2000 -o higgs.libsvm"
BEFORE = """import lambdaml, torch
X, y = torch.randn(64, 4), torch.arange(64) % 3
"""

# What pages write, and the variable in which lambdaml_with_servers says where that server is here.
SERVERS = {"redis://127.0.0.1:6379": "redis", "memcached://127.0.0.1:11211": "memcached"}


class Block:
    def __init__(self, line, info, text):
        self.line, self.info, self.text = line, info, text


def blocks_of(text):
    """The fenced and the indented blocks of a page."""
    blocks, lines, i = [], text.split("\n"), 0
    while i < len(lines):
        fence = re.match(r"( *)```(.*)$", lines[i])
        unseen = re.match(r"<!-- ((?:sh|python|yaml) [^>]*)$", lines[i])
        if unseen:
            begin = i + 1
            i = next(j for j in range(begin, len(lines)) if lines[j].strip() == "-->")
            blocks.append(Block(begin, unseen.group(1).strip(), "\n".join(lines[begin:i]) + "\n"))
        elif fence:
            begin = i + 1
            i = next((j for j in range(begin, len(lines)) if lines[j].strip() == "```"), len(lines))
            body = [line[len(fence.group(1)):] for line in lines[begin:i]]
            blocks.append(Block(begin, fence.group(2).strip(), "\n".join(body) + "\n"))
        elif lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip()):
            begin = i
            while i < len(lines) and (lines[i].startswith("    ") or not lines[i].strip()):
                i += 1
            blocks.append(Block(begin + 1, "text", "\n".join(line[4:] for line in lines[begin:i]) + "\n"))
            continue
        i += 1
    return blocks


def environment():
    values = {**os.environ, "PATH": f"{BUILD / 'bin'}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
              "PYTHONPATH": f"{BUILD / 'python'}:{SOURCE / 'examples'}", "PYTHONDONTWRITEBYTECODE": "1"}
    # The package itself is preferred where it is.
    if importlib.util.find_spec("safetensors") is None:
        values["PYTHONPATH"] += f":{SOURCE / 'tests/stand_ins'}"
    for name in ("LAMBDAML_WORKER", "AWS_PROFILE"):
        values.pop(name, None)
    return values


def commands_of(text):
    """The `lambdaml …` commands in a block, as words."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.split("\n"):
        line = line.strip().removeprefix("$ ")
        line = re.sub(r"^build/release/bin/", "", line)
        line = re.sub(r"^(?:[A-Z][A-Z0-9_]*=\S*\s+)+", "", line)  # variables before the command
        line = re.sub(r"^timeout \S+ ", "", line)
        if not line.startswith("lambdaml "):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.commenters = "#"
        lexer.whitespace_split = True
        words = []
        for word in lexer:
            if set(word) <= set(";<>|&()"):
                break  # what follows is the shell's or another command
            words.append(word)
        # An ellipsis is a value after an option; elsewhere it stands for more of the same.
        yield [word for i, word in enumerate(words) if word not in ("…", "...") or words[i - 1].startswith("--")]


def check_command(words):
    """Has the command's own parser read the words. Returns what is wrong, or nothing."""
    done = subprocess.run(words, env={**environment(), "LAMBDAML_PARSE_ONLY": "1"}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else f"{shlex.join(words)}: {done.stderr.strip()}"


def check_goals(text):
    goals = set(re.findall(r"^([a-z0-9-]+):", (SOURCE / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for line in re.findall(r"^make ([^#\n]*)", text, re.MULTILINE):
        wrong += [f"make {goal}: no such goal" for goal in line.split() if "=" not in goal and goal not in goals]
    return wrong


class Servers:
    """Those that the page names, beside the test."""

    def __init__(self, text):
        self.replacements, self.replacements_of_ports = {}, {}
        wanted = [(address, scheme) for address, scheme in SERVERS.items() if address in text]
        self.process = None
        if not wanted:
            return
        self.process = subprocess.Popen([BUILD / "tests" / "lambdaml_with_servers", *(s for _, s in wanted)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        values = {}
        for line in self.process.stdout:
            if line.strip() == "ready":
                break
            name, _, value = line.strip().partition("=")
            values[name] = value
        for address, scheme in wanted:
            if f"LAMBDAML_STORE_{scheme.upper()}" not in values:
                missing = f"snippets.py: {scheme} is not on this machine"
                if os.environ.get("LAMBDAML_REQUIRE_SERVERS"):
                    sys.exit(missing)
                print(missing + ": skipped")
                sys.exit(77)
            self.replacements[address] = values[f"LAMBDAML_STORE_{scheme.upper()}"].rstrip("/")

    def replace_in(self, text):
        for address, here in self.replacements.items():
            text = text.replace(address, here)
        return re.sub(r"(--port |127\.0\.0\.1:)(9001|8080|27000)\b", lambda found: found[1] + self.port(found[2]), text)

    def port(self, name):
        """A free port that stands for this one."""
        if name not in self.replacements_of_ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.replacements_of_ports[name] = str(probe.getsockname()[1])
        return self.replacements_of_ports[name]

    def end(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait(timeout=60)


def end_group(leader):
    """Ends what a block has left running."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader.pid, number)
        except ProcessLookupError:
            return
        for _ in range(100):
            try:
                os.killpg(leader.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)


def serve_line(line, folder):
    """Starts a server, waits until it listens, and interrupts it. Returns what is wrong, or nothing."""
    with open(folder / ".output", "w+b") as output:
        server = subprocess.Popen(["bash", "-c", "exec " + line], cwd=folder, env=environment(), stdin=subprocess.DEVNULL,
                                  stdout=output, stderr=output, start_new_session=True)
        said = lambda: pathlib.Path(output.name).read_text(errors="replace")
        for _ in range(600):
            if "listening on" in said() or server.poll() is not None:
                break
            time.sleep(0.1)
        server.send_signal(signal.SIGINT)
        try:
            code = server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            code = "none"
        end_group(server)
        return "" if code == 0 and "listening on" in said() else f"{line}: exit code {code}\n{said()}"


def run_block(block, folder, servers, before):
    """Runs a block, with these lines before it. Returns what is wrong, or nothing."""
    if block.info == "sh serve":
        lines = servers.replace_in(block.text).splitlines()
        return "".join(serve_line(re.sub(r"\s+#.*", "", line), folder) for line in lines if line.strip())
    if block.info.startswith("yaml "):
        (folder / block.info.split()[1]).write_text(servers.replace_in(block.text))
        return ""
    if block.info == "sh run":
        command = ["bash", "-euo", "pipefail", "-c", servers.replace_in(block.text)]
    else:
        if "import lambdaml" in block.text and not (BUILD / "python" / "lambdaml").exists():
            if os.environ.get("CI"):
                return "the Python package is not built: cmake -DLAMBDAML_PYTHON=ON"
            print(f"line {block.line}: the Python package is not built: skipped")
            return ""
        # A file, for TorchScript reads the source of classes.
        (folder / "block.py").write_text(before + block.text)
        command = ["/usr/bin/python3", "-B", "block.py"]
    with open(folder / ".output", "w+b") as output:
        done = subprocess.Popen(command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=output,
                                stderr=output, start_new_session=True)
        try:
            code = done.wait(timeout=BLOCK_S)
        except subprocess.TimeoutExpired:
            return f"no end after {BLOCK_S} s"
        finally:
            end_group(done)
        return "" if code == 0 else f"exit code {code}\n{pathlib.Path(output.name).read_text(errors='replace')}"


def main():
    text = PAGE.read_text()
    wrong, commands, ran = [], 0, 0
    is_strict = (PAGE == SOURCE / "README.md" or SOURCE / "docs" in PAGE.parents) and PAGE.name != FROM_DOCSTRINGS
    before = ""
    servers = Servers(text)
    with tempfile.TemporaryDirectory(prefix="lambdaml-page-") as folder:
        if PAGE.name == FROM_DOCSTRINGS:
            run_block(Block(0, "sh run", PREPARATION), pathlib.Path(folder), servers, "")
        for block in blocks_of(text):
            if PAGE.name == FROM_DOCSTRINGS and block.info == "python" and not re.search("s3://|arn:", block.text):
                examples = doctest.DocTestParser().get_examples(block.text)
                block = Block(block.line, "python run", "".join(one.source for one in examples))
                before = BEFORE
            where = f"{PAGE.name}:{block.line}"
            if block.info == "python before":
                before = block.text
                continue
            if block.info in RUN or re.fullmatch(r"yaml \S+", block.info):
                ran += 1
                if fault := run_block(block, pathlib.Path(folder), servers, before):
                    wrong.append(f"{where}: {fault}")
                    break  # what follows may need it
                before = before if block.info != "python run" else ""
                continue
            is_command = re.match(r"(sh|python|text)\b", block.info) and block.info not in CHECKED
            if is_strict and is_command and (block.info != "text" or list(commands_of(block.text))):
                wrong.append(f"{where}: on this page each command is in a block that is run, or says that it cannot be")
            if block.info.split(" ")[0] == "python":
                # Sessions of the interpreter, as docstrings have them, are parsed without their prompts.
                examples = doctest.DocTestParser().get_examples(block.text)
                try:
                    ast.parse("".join(one.source for one in examples) if examples else block.text)
                except SyntaxError as error:
                    wrong.append(f"{where}: {error}")
            if block.info == "python elsewhere":
                name = str(PAGE.relative_to(SOURCE))
                if not any(name in path.read_text() for path in (SOURCE / "tests").rglob("*.py")):
                    wrong.append(f"{where}: no test names {name}")
            if block.info == "sh clone":
                wrong += [f"{where}: {fault}" for fault in check_goals(block.text)]
            for words in commands_of(block.text):
                commands += 1
                if fault := check_command(words):
                    wrong.append(f"{where}: {fault}")
    servers.end()
    print(f"{PAGE.name}: {ran} blocks run, {commands} commands checked")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
