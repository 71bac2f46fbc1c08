"""Runs the commands of one page of the documentation. As: snippets.py BUILD PAGE

A fenced block says by its first line what it is:

    ```sh run        is run by bash, in a temporary folder that all blocks of the page share, in their order; what it
                     leaves running is ended with the page
    ```sh aws, ```python aws   needs AWS: is run in the same way beside `lambdaml emulate` and an S3 server, which have
                     the names that the page makes up (s3://BUCKET, ACCOUNT, redis://CACHE:6379)
    ```sh serve      a server in each line: it is started alone, must listen, and end when it is interrupted
    ```python run    is run by Python there, with this build's package
    ```yaml FILE     is written to that file of the folder
    ```text output   is what the block before it prints, line by line; … stands for anything
    ```text like     is like what the block before it prints: of each line, what stands before its first number
    ```cmake in FILE its lines are in that file of the source tree; so in any language
    ```sh elsewhere  needs an account, a cluster or an address: the command checks each of its commands and options, and
                     runs none. not_run.md beside this file says why, block by block
    ```sh clone      is run in a clone: its `make` goals, CMake targets and files must exist, and its commands are
                     checked
    ```python elsewhere  is run by another test, which names the page

What a page takes for granted is made by blocks that readers do not see: the same between `<!-- sh run` and `-->`.
`<!-- python before` holds lines that stand before the next block of Python.

Any other block is text; it must not have a `lambdaml` command. Those between backquotes in sentences and tables are
read by the command like ones that are not run, but may lack what they require; options there must be options of some
command. Servers that a page names by their usual addresses (redis://127.0.0.1:6379) are started for it; those, and the ports of
servers that the page starts itself (9001, 8080, 27000), are others in the test.
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
AWS = ("sh aws", "python aws")
RUN = ("sh run", "sh serve", "python run", *AWS)
CHECKED = ("sh elsewhere", "sh clone", "python elsewhere")
NOT_RUN = SOURCE / "tests/docs/not_run.md"

# A page whose blocks are made of docstrings, and what they take for granted.
FROM_DOCSTRINGS = "python-api.md"
PREPARATION = """lambdaml data synth higgs --rows 2000 -o higgs.libsvm
lambdaml data split higgs.libsvm --parts 4 --to s3://bucket/set
"""
BEFORE = """import lambdaml, torch
X, y = torch.randn(64, 4), torch.arange(64) % 3
"""

# What blocks of Python use that Debian lacks, and its package: without it they are read only; and what they take for
# granted.
PARQUET = "from_parquet", "pyarrow"
BEFORE_PARQUET = """import lambdaml, pandas
for day in range(3):
    pandas.DataFrame({"x": range(100), "y": [0, 1] * 50}).to_parquet(f"{day}.parquet")
    for place in ("s3://bucket", "s3://bucket/days"):
        lambdaml.storage.open(place)[f"{day}.parquet"] = open(f"{day}.parquet", "rb").read()
"""

# What pages call their buckets and their account.
BUCKETS = re.compile(r"s3://(BUCKET|DATA|CHANNEL|bucket)\b")
ACCOUNT = "ACCOUNT", "123456789012"

# Options of the AWS CLI and of Slurm, and how all options of a kind begin.
OPTIONS_OF_OTHERS = ("--endpoint-url", "--job-name", "--no-")

# What pages write, and the variable in which lambdaml_with_servers says where that server is here.
SERVERS = {"redis://127.0.0.1:6379": "redis", "redis://CACHE:6379": "redis",
           "memcached://127.0.0.1:11211": "memcached"}


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


# Of what stands in for AWS.
STAND_INS = {}


def environment():
    values = {**os.environ, **STAND_INS, "SOURCE": str(SOURCE), "BUILD": str(BUILD), "LC_ALL": "C.UTF-8",
              "PATH": f"{BUILD / 'bin'}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1",
              "PYTHONPATH": f"{BUILD / 'python'}:{SOURCE / 'examples'}:{os.environ.get('PYTHONPATH', '')}"}
    # The package itself is preferred where it is.
    if importlib.util.find_spec("safetensors") is None:
        values["PYTHONPATH"] += f":{SOURCE / 'tests/stand_ins'}"
    for name in ("LAMBDAML_WORKER", "AWS_PROFILE"):
        values.pop(name, None)
    return values


def words_of(line):
    """The words of a `lambdaml …` command, or nothing if the line is none."""
    line = line.strip().removeprefix("$ ")
    line = re.sub(r"^build/release/bin/", "", line)
    line = re.sub(r"^(?:[A-Z][A-Z0-9_]*=\S*\s+)+", "", line)  # variables before the command
    line = re.sub(r"^timeout \S+ ", "", line)
    if not line.startswith("lambdaml "):
        return []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.commenters = "#"
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set(";<>|&()"):
            break  # what follows is the shell's or another command
        words.append(word)
    # An ellipsis is a value after an option; elsewhere it stands for more of the same.
    return [word for i, word in enumerate(words) if word not in ("…", "...") or words[i - 1].startswith("--")]


def commands_of(text):
    """The `lambdaml …` commands in a block, as words."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [words for line in joined.split("\n") if (words := words_of(line))]


def code_of(text):
    """What stands between backquotes in sentences and tables, with its lines."""
    hide = lambda found: re.sub(r"[^\n]", " ", found[0])
    text = re.sub(r"(?ms)^ *```.*?^ *```|<!--.*?-->|^(?: {4}|> ).*?$", hide, text)
    for found in re.finditer(r"`([^`]+)`", text):
        yield text.count("\n", 0, found.start()) + 1, " ".join(found[1].replace("\\|", "|").split())


def check_mentions(text):
    """Checks the commands and options in sentences and tables. Returns how many, and what is wrong with which line."""
    names = subprocess.run(["lambdaml", "completion", "bash"], env=environment(), capture_output=True, text=True).stdout
    options = {*re.findall(r"--[a-z][a-z0-9-]*", names), *OPTIONS_OF_OTHERS}
    count, wrong = 0, []
    for number, line in code_of(text):
        if line.startswith("--"):
            count += 1
            wrong += [(number, f"{name}: no such option") for name in re.findall(r"^--[a-z][a-z0-9-]*", line)
                      if name not in options]
        # The page's own names of values: of several, the first; of numbers, one.
        line = re.sub(r"(?<=[A-Z])(\|[^ |]+)+", "", line)
        line = re.sub(r"(--[a-z-]+ |:)(N|P|PORT)\b", r"\g<1>3", line)
        if words := words_of(line):
            count += 1
            if fault := check_command(words, is_mention=True):
                wrong.append((number, fault))
    return count, wrong


def check_command(words, is_mention=False):
    """Has the command's own parser read the words; a mention may lack what is required. Returns what is wrong."""
    done = subprocess.run(words, env={**environment(), "LAMBDAML_PARSE_ONLY": "1"}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    said = done.stderr.strip()
    if done.returncode == 0 or (is_mention and re.search(r" is required|: its value is missing", said)):
        return ""
    return f"{shlex.join(words)}: {said}"


def check_clone(text):
    """Whether the goals, targets and files that commands in a clone name are there."""
    goals = set(re.findall(r"^([a-z0-9-]+):", (SOURCE / "Makefile").read_text(), re.MULTILINE))
    presets = (SOURCE / "CMakePresets.json").read_text()
    targets = "\n".join(path.read_text() for path in [SOURCE / "CMakeLists.txt", *SOURCE.glob("*/**/CMakeLists.txt")])
    wrong = []
    for line in re.findall(r"^make ([^#\n]*)", text, re.MULTILINE):
        wrong += [f"make {goal}: no such goal" for goal in line.split() if "=" not in goal and goal not in goals]
    wrong += [f"no preset {name}" for name in re.findall(r"--preset (\S+)", text) if f'"name": "{name}"' not in presets]
    wrong += [f"no target {name}" for name in re.findall(r"--target (\S+)", text)
              if not re.search(rf"\b{name}\b", targets)]
    wrong += [f"{name}: no such program" for name in re.findall(r"(?m)^ *((?:bench|tests|packages|python)/\S+)", text)
              if not os.access(SOURCE / name, os.X_OK)]
    return wrong


def check_quote(block):
    """Whether the lines of a block are in the file that it names, but for brackets and commas at their ends."""
    name = block.info.split()[-1]
    bare = lambda line: line.strip().rstrip("{},")
    there = {bare(line) for line in (SOURCE / name).read_text().split("\n")}
    missing = [line for line in block.text.split("\n") if bare(line) not in there]
    return "".join(f"{name} has no line '{line}'" for line in missing[:1])


def check_output(kind, expected, printed):
    """Whether what was printed has these lines, in their order. Returns what is wrong, or nothing."""
    if kind == "text like":
        expected = re.sub(r"(?m)\d.*", "…", expected)
    lines, at = [" ".join(line.split()) for line in re.split(r"[\r\n]+", printed)], 0
    for wanted in expected.split("\n"):
        pattern = ".*".join(re.escape(part) for part in " ".join(wanted.split()).split("…"))
        at = next((i + 1 for i in range(at, len(lines)) if re.fullmatch(pattern, lines[i])), None)
        if at is None:
            return f"'{wanted.strip()}' was not printed (in this order):\n{printed}"
    return ""


class Servers:
    """Those that the page names, beside the test."""

    def __init__(self, text, wants_aws):
        self.replacements, self.ports, self.processes = {}, {}, []
        for address, scheme in SERVERS.items():
            if address in text:
                self.replacements[address] = self.start(scheme)[f"LAMBDAML_STORE_{scheme.upper()}"].rstrip("/")
        self.bucket = None
        if wants_aws:
            values = self.start("s3")
            self.bucket = values.pop("LAMBDAML_STORE_S3")
            STAND_INS.update(values)
            self.logs = tempfile.TemporaryDirectory(prefix="lambdaml-page-logs-")
            emulator = subprocess.Popen([BUILD / "bin" / "lambdaml", "emulate", "--port", "0", "--log-folder",
                                         self.logs.name], env=environment(),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            self.processes.append(emulator)
            STAND_INS["AWS_ENDPOINT_URL_LAMBDA"] = emulator.stdout.readline().split()[-1]

    def start(self, scheme):
        """Starts a real server; returns what its clients need in their environment."""
        server = subprocess.Popen([BUILD / "tests" / "lambdaml_with_servers", scheme], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.processes.append(server)
        values = {}
        for line in server.stdout:
            if line.strip() == "ready":
                return values
            name, _, value = line.strip().partition("=")
            values[name] = value
        self.end()
        missing = f"snippets.py: {scheme} is not on this machine"
        if os.environ.get("LAMBDAML_REQUIRE_SERVERS"):
            sys.exit(missing)
        print(missing + ": skipped")
        sys.exit(77)

    def replace_in(self, text):
        for address, here in self.replacements.items():
            text = text.replace(address, here)
        if self.bucket:
            text = BUCKETS.sub(lambda found: f"{self.bucket}/{found[1].lower()}", text).replace(*ACCOUNT)
        return re.sub(r"(--port |127\.0\.0\.1:)(9001|8080|27000)\b", lambda found: found[1] + self.port(found[2]), text)

    def port(self, name):
        """A free port that stands for this one."""
        if name not in self.ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.ports[name] = str(probe.getsockname()[1])
        return self.ports[name]

    def end(self):
        for process in reversed(self.processes):
            if process.stdin:
                process.stdin.close()
            else:
                process.terminate()
            process.wait(timeout=60)


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
    """Runs a block, with these lines before it. Returns what it printed, and what is wrong or nothing."""
    if block.info == "sh serve":
        lines = servers.replace_in(block.text).splitlines()
        return "", "".join(serve_line(re.sub(r"\s+#.*", "", line), folder) for line in lines if line.strip())
    if block.info.startswith("yaml "):
        (folder / block.info.split()[1]).write_text(servers.replace_in(block.text))
        return "", ""
    if block.info in ("sh run", "sh aws"):
        command = ["bash", "-euo", "pipefail", "-c", servers.replace_in(block.text)]
    else:
        if "import lambdaml" in before + block.text and not (BUILD / "python" / "lambdaml").exists():
            if os.environ.get("CI"):
                return "", "the Python package is not built: cmake -DLAMBDAML_PYTHON=ON"
            print(f"line {block.line}: the Python package is not built: skipped")
            return "", ""
        if PARQUET[0] in block.text:
            before = BEFORE_PARQUET + before
            if importlib.util.find_spec(PARQUET[1]) is None:
                print(f"line {block.line}: {PARQUET[1]} is not on this machine: read only")
                ast.parse(block.text)
                return "", ""
        # A file, for TorchScript reads the source of classes.
        (folder / "block.py").write_text(servers.replace_in(before + block.text))
        command = ["/usr/bin/python3", "-B", "block.py"]
    with open(folder / ".output", "w+b") as output:
        done = subprocess.Popen(command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=output,
                                stderr=output, start_new_session=True)
        try:
            code = done.wait(timeout=BLOCK_S)
        except subprocess.TimeoutExpired:
            return "", f"no end after {BLOCK_S} s"
        finally:
            end_group(done)
        printed = pathlib.Path(output.name).read_text(errors="replace")
        return printed, "" if code == 0 else f"exit code {code}\n{printed}"


def reasons_of(page):
    """The words by which not_run.md names the blocks of a page that are not run."""
    rows = re.findall(r"(?m)^\| ([^|]+\.md) \| `([^`]+)` \| ([^|]+) \|$", NOT_RUN.read_text())
    return [words for name, words, _ in rows if name == page]


def main():
    text = PAGE.read_text()
    name = str(PAGE.relative_to(SOURCE))
    wrong, commands, ran = [], 0, 0
    before = printed = ""
    blocks = blocks_of(text)
    reasons = reasons_of(name)
    if PAGE.name == FROM_DOCSTRINGS:
        for block in blocks:
            if block.info == "python":
                examples = doctest.DocTestParser().get_examples(block.text)
                block.info, block.text = "python run", BEFORE + "".join(one.source for one in examples)
        blocks.insert(0, Block(0, "sh aws", PREPARATION))
    servers = Servers(text, any(block.info in AWS for block in blocks))
    with tempfile.TemporaryDirectory(prefix="lambdaml-page-") as folder:
        for block in blocks:
            where = f"{name}:{block.line}"
            kind = block.info.split(" ")[0]
            if block.info == "python before":
                before = block.text
                continue
            if block.info in RUN or re.fullmatch(r"yaml \S+", block.info):
                ran += 1
                printed, fault = run_block(block, pathlib.Path(folder), servers, before)
                if fault:
                    wrong.append(f"{where}: {fault}")
                    break  # what follows may need it
                before = before if kind != "python" else ""
                continue
            if block.info in ("text output", "text like"):
                fault = check_output(block.info, servers.replace_in(block.text).rstrip("\n"), printed)
            elif re.fullmatch(r"\S+ in \S+", block.info):
                fault = check_quote(block)
            elif block.info == "python elsewhere":
                fault = "" if any(name in path.read_text() for path in (SOURCE / "tests").rglob("*.py")) else \
                    f"no test names {name}"
            elif block.info == "sh clone":
                fault = "; ".join(check_clone(block.text))
            elif block.info == "sh elsewhere":
                fault = "" if any(words in block.text for words in reasons) else \
                    f"{NOT_RUN.name} does not say why this is not run"
            elif kind in ("sh", "python") or commands_of(block.text):
                fault = "on this page each command is in a block that is run, or says that it cannot be"
            else:
                fault = ""
            if fault:
                wrong.append(f"{where}: {fault}")
            if kind == "python":
                # Sessions of the interpreter, as docstrings have them, are parsed without their prompts.
                examples = doctest.DocTestParser().get_examples(block.text)
                try:
                    ast.parse("".join(one.source for one in examples) if examples else block.text)
                except SyntaxError as error:
                    wrong.append(f"{where}: {error}")
            for words in commands_of(block.text):
                commands += 1
                if fault := check_command(words):
                    wrong.append(f"{where}: {fault}")
    servers.end()
    mentions, faults = check_mentions(text)
    wrong += [f"{name}:{line}: {fault}" for line, fault in faults]
    wrong += [f"{NOT_RUN.name} names '{words}', which is not in {name}" for words in reasons if words not in text]
    print(f"{PAGE.name}: {ran} blocks run, {commands} commands read, {mentions} mentions checked")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
