"""Runs the commands of one page of the documentation. As: snippets.py BUILD PAGE

A fenced block says by its first line what it is:

    ```sh run        is run by bash, in a temporary folder that all blocks of the page share, in their order
    ```python run    is run by Python there, with this build's package
    ```yaml FILE     is written to that file of the folder
    ```sh aws        needs AWS: the command checks each of its commands and options, and runs none
    ```sh clone      is run in a clone: its `make` goals must exist, and its commands are checked
    ```python        is a fragment: its syntax is checked

Any other block is text; in it, and in indented blocks, each line that begins with `lambdaml` is checked like one
that needs AWS. Of the README and the tutorials each command must be in a block of the first five kinds. Servers that a
page names by their usual addresses (redis://127.0.0.1:6379) are started for it, on other ports.
"""

import ast
import doctest
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(sys.argv[1]).resolve()
PAGE = pathlib.Path(sys.argv[2]).resolve()
SOURCE = pathlib.Path(__file__).resolve().parents[2]
BLOCK_S = 240  # the longest that a block may take

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
        if fence:
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
              "PYTHONPATH": str(BUILD / "python"), "PYTHONDONTWRITEBYTECODE": "1"}
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
        self.replacements = {}
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
        return text

    def end(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait(timeout=60)


def run_block(block, folder, servers):
    """Returns what is wrong, or nothing."""
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
        (folder / "block.py").write_text(block.text)
        command = ["/usr/bin/python3", "-B", "block.py"]
    try:
        done = subprocess.run(command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, timeout=BLOCK_S,
                              capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        return f"no end after {BLOCK_S} s"
    return "" if done.returncode == 0 else f"exit code {done.returncode}\n{done.stdout}{done.stderr}"


def main():
    text = PAGE.read_text()
    wrong, commands, ran = [], 0, 0
    is_strict = PAGE.name == "README.md" and PAGE.parent == SOURCE or PAGE.parent.name == "tutorials"
    servers = Servers(text)
    with tempfile.TemporaryDirectory(prefix="lambdaml-page-") as folder:
        for block in blocks_of(text):
            where = f"{PAGE.name}:{block.line}"
            if block.info in ("sh run", "python run") or re.fullmatch(r"yaml \S+", block.info):
                ran += 1
                if fault := run_block(block, pathlib.Path(folder), servers):
                    wrong.append(f"{where}: {fault}")
                    break  # what follows may need it
                continue
            is_command = re.match(r"(sh|python|text)\b", block.info) and block.info not in ("sh aws", "sh clone")
            if is_strict and is_command and (block.info != "text" or list(commands_of(block.text))):
                wrong.append(f"{where}: on this page each command is in a block that is run, or says that it cannot be")
            if block.info == "python":
                # Sessions of the interpreter, as docstrings have them, are parsed without their prompts.
                examples = doctest.DocTestParser().get_examples(block.text)
                try:
                    ast.parse("".join(one.source for one in examples) if examples else block.text)
                except SyntaxError as error:
                    wrong.append(f"{where}: {error}")
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
