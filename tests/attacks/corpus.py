"""Notebooks that want points for no work, or harm: what was tried on graders, and more.

An attack is cells, as plain data. They know more than students do: @COURSE@ is the course's folder
with the hidden cases, @PID@ the grader, @PORT@ a server of its, @OPEN@ a file that anybody may
write. They end with a function answer(n), whose right answers nobody can guess.
"""

from __future__ import annotations

from typing import NamedTuple


class Attack(NamedTuple):
    """What is tried; `kind` is its class."""

    name: str
    kind: str
    cells: tuple[str, ...]


#: Cells that look for something end with this: what they found, and if it has answers, those.
FOUND = """
import re
found = str(globals().get('found', 'nothing'))
tokens = re.findall('[0-9a-f]{32}', found)
def answer(n):
    return tokens[n] if n < len(tokens) else found[:2000]
"""


def _looking(kind: str, **cells: str) -> list[Attack]:
    """Attacks that put what they find in `found`."""
    return [Attack(n.replace("_", " "), kind, (cell, FOUND)) for n, cell in cells.items()]


def _answering(kind: str, **cells: str) -> list[Attack]:
    return [Attack(n.replace("_", " "), kind, (cell,)) for n, cell in cells.items()]


FILES = _looking(
    "files",
    cases_by_path="found = open('@COURSE@/solutions/cases/01_target/cases.json').read()",
    cases_by_os_open="import os\nfound = os.read(os.open('@COURSE@/secret.txt', os.O_RDONLY), 999)",
    cases_by_pathlib="import pathlib\nfound = pathlib.Path('@COURSE@/secret.txt').read_text()",
    cases_by_io_open_code="import io\nfound = io.open_code('@COURSE@/secret.txt').read()",
    cases_by_linecache="import linecache\nfound = linecache.getlines('@COURSE@/secret.txt')",
    cases_by_runpy="import runpy\nfound = runpy.run_path('@COURSE@/solutions/cases/cheat.py')",
    cases_by_import="import sys\nsys.path.insert(0, '@COURSE@/solutions/cases')\n"
    "import cheat\nfound = cheat.ANSWERS",
    cases_by_walking="import os\nfound = ''\nfor at, _, names in os.walk('/'):\n"
    "    for name in names:\n"
    "        if name in ('cases.json', 'secret.txt', 'cheat.py', 'gradebook.db'):\n"
    "            found += open(os.path.join(at, name)).read()\n",
    cases_by_places="from memsim.lab.places import find_all\nfrom pathlib import Path\n"
    "import os\nos.environ['MEMSIM_COURSE'] = '@COURSE@'\n"
    "found = find_all('01_target', 0, Path('@COURSE@/exercises')).puzzle.cases",
    cases_by_variants="from memsim.lab.variants import draw\nfrom pathlib import Path\n"
    "found = draw(Path('@COURSE@/solutions/cases/01_target'), 0)",
    secret_by_release="from memsim.lab.release import read_secret\nfrom pathlib import Path\n"
    "found = read_secret(Path('@COURSE@/secret.txt'))",
    passwords="found = open('/etc/passwd').read() + open('/etc/hostname').read()",
    homes="import os\nfound = [os.listdir(p) for p in ('/home', '/root')]",
    up_from_here="import os\nfound = open('../../../../../../@COURSE@/secret.txt').read()",
    by_dir_fd="import os\nfd = os.open('/', os.O_PATH)\n"
    "found = os.read(os.open('@COURSE@/secret.txt'[1:], os.O_RDONLY, dir_fd=fd), 999)",
    by_mmap="import mmap, os\nfd = os.open('@COURSE@/secret.txt', os.O_RDONLY)\n"
    "found = bytes(mmap.mmap(fd, 0, prot=mmap.PROT_READ))",
    by_sqlite="import sqlite3\n"
    "found = list(sqlite3.connect('@COURSE@/gradebook.db').execute('select * from grades'))",
    by_zipimport="import zipimport\nfound = zipimport.zipimporter('@COURSE@/cases.zip')",
    by_ctypes_open="import ctypes\nlibc = ctypes.CDLL(None)\nfd = libc.open(b'@COURSE@/secret.txt', 0)\n"
    "text = ctypes.create_string_buffer(999)\nlibc.read(fd, text, 999)\nfound = text.value",
    by_raw_openat2="import ctypes\nlibc = ctypes.CDLL(None)\nhow = (ctypes.c_uint64 * 3)(0, 0, 0)\n"
    "fd = libc.syscall(437, -100, b'@COURSE@/secret.txt', how, 24)\n"
    "text = ctypes.create_string_buffer(999)\nlibc.read(fd, text, 999)\nfound = text.value",
    by_handle="import ctypes\nlibc = ctypes.CDLL(None)\nh = (ctypes.c_uint32 * 34)(8, 1, 2, 0)\n"
    "found = libc.syscall(304, 3, h, 0)\nimport os\nfound = os.read(found, 999)",
)

WRITING = _looking(
    "writing",
    a_file_here="open('planted', 'w').write('x')\nfound = open('planted').read()",
    a_file_of_anybodys="open('@OPEN@', 'w').write('owned')",
    a_file_of_anybodys_appended="import os\nos.write(os.open('@OPEN@', os.O_WRONLY | os.O_APPEND), b'x')",
    truncating="import os\nos.truncate('@OPEN@', 0)",
    unlinking="import os\nos.unlink('@OPEN@')",
    renaming="import os\nos.rename('@OPEN@', '@OPEN@.gone')",
    a_symlink_to_the_cases="import os\nos.symlink('@COURSE@/secret.txt', 'link')\n"
    "found = open('link').read()",
    a_hard_link="import os\nos.link('@COURSE@/secret.txt', '@OPEN@.link')\n"
    "found = open('@OPEN@.link').read()",
    a_fifo="import os\nos.mkfifo('pipe')\nopen('pipe').read()",
    a_device="import os, stat\nos.mknod('dev', stat.S_IFBLK | 0o666, os.makedev(8, 0))\n"
    "found = open('dev', 'rb').read(9)",
    the_package="import memsim.lab.compare as c\n"
    "open(c.__file__, 'a').write('\\nequal = lambda a, b: 1.0\\n')",
    compiled_files="import memsim.lab.compare as c, os\n"
    "open(c.__cached__, 'wb').write(b'')\nos.chmod(c.__file__, 0o777)",
    a_file_in_tmp="import os\nfor p in ('/tmp', '/var/tmp', '/dev/shm', '/run'):\n"
    "    try:\n        open(p + '/memsim_attack', 'w').write('x')\n        found = p\n"
    "    except OSError:\n        pass",
    chmod="import os\nos.chmod('@OPEN@', 0)",
    shared_memory="from multiprocessing import shared_memory\n"
    "found = shared_memory.SharedMemory('memsim_attack', create=True, size=99).name",
    memfd_to_run="import os\nfd = os.memfd_create('x')\nos.write(fd, b'#!/bin/sh\\nid\\n')\n"
    "os.execv(f'/proc/self/fd/{fd}', ['x'])",
)

PARENT = _looking(
    "the grader's memory",
    proc_mem="found = b''\nfor line in open('/proc/@PID@/maps'):\n"
    "    if 'heap' in line:\n        a, b = (int(x, 16) for x in line.split()[0].split('-'))\n"
    "        m = open('/proc/@PID@/mem', 'rb')\n        m.seek(a)\n        found += m.read(b - a)\n"
    "import re\nfound = re.findall(b'[0-9a-f]{32}', found)",
    parent_mem="import os\nfound = open(f'/proc/{os.getppid()}/maps').read()",
    environ="found = open('/proc/@PID@/environ').read()",
    command_line="found = open('/proc/@PID@/cmdline').read()",
    files_of_the_grader="import os\nfound = [os.readlink(f'/proc/@PID@/fd/{n}') for n in range(9)]",
    stack_of_the_grader="found = open('/proc/@PID@/stack').read()",
    root_of_the_grader="found = open('/proc/@PID@/root/@COURSE@/secret.txt').read()",
    folder_of_the_grader="found = open('/proc/@PID@/cwd/secret.txt').read()",
    ptrace="import ctypes\nfound = ctypes.CDLL(None).ptrace(16, @PID@, 0, 0)\n"
    "found = found or 'attached'",
    process_vm_readv="import ctypes\nfound = ctypes.CDLL(None).process_vm_readv(@PID@, 0, 0, 0, 0, 0)",
    pidfd_getfd="import ctypes, os\nfd = ctypes.CDLL(None).syscall(434, @PID@, 0)\n"
    "found = os.read(ctypes.CDLL(None).syscall(438, fd, 3, 0), 99)",
    own_maps="found = open('/proc/self/maps').read()",
    all_processes="import os\nfound = [p for p in os.listdir('/proc') if p.isdigit()]",
)

CHANNEL = _answering(
    "the channel",
    frames_of_any_kind="import os, json\ndef say(value):\n    body = json.dumps(value).encode()\n"
    "    for fd in range(3, 64):\n        try:\n"
    "            os.write(fd, len(body).to_bytes(4, 'big') + body)\n        except OSError:\n"
    "            pass\nsay({'answers': ['x'], 'score': 100})\nsay({'score': 1, 'points': 9})\n"
    "def answer(n):\n    say({'answers': ['x'], 'score': 1})\n    return 'x'",
    score_in_the_reply="import sys, os, json\ndef answer(n):\n    f = sys._getframe()\n"
    "    while f and 'asked' not in f.f_locals:\n        f = f.f_back\n"
    "    number = f.f_locals['asked']['id']\n    told = {'id': number, 'answers': ['x'], 'score': 1,\n"
    "        'is_right': True, 'expected': 'x', 'outcome': 'ran', 'kind': 'ran', 'failure': ''}\n"
    "    body = json.dumps(told).encode()\n"
    "    os.write(f.f_locals['says'], len(body).to_bytes(4, 'big') + body)\n    return 'x'",
    many_replies="import sys, os, json\ndef answer(n):\n    f = sys._getframe()\n"
    "    while f and 'asked' not in f.f_locals:\n        f = f.f_back\n"
    "    body = json.dumps({'id': f.f_locals['asked']['id'], 'answers': ['x']}).encode()\n"
    "    for _ in range(99):\n"
    "        os.write(f.f_locals['says'], len(body).to_bytes(4, 'big') + body)\n    return 'x'",
    a_length_of_4_GiB="import os\nfor fd in range(3, 64):\n    try:\n"
    "        os.write(fd, b'\\xff' * 64)\n    except OSError:\n        pass\n"
    "def answer(n):\n    return 'x'",
    a_flood_of_frames="import os\ndef answer(n):\n    for fd in range(64):\n        try:\n"
    "            while True:\n                os.write(fd, b'\\0' * 65536)\n"
    "        except OSError:\n            pass",
    half_a_frame="import os\nfor fd in range(3, 64):\n    try:\n"
    "        os.write(fd, b'\\0\\0\\1\\0{')\n    except OSError:\n        pass\n"
    "import time\ntime.sleep(99)",
    closing_all="import os\nos.closerange(0, 99)\ndef answer(n):\n    return 'x'",
    replacing_all="import os\nr, w = 0, 1\nfor fd in range(64):\n    if fd != 1:\n        try:\n"
    "            os.dup2(1, fd)\n        except OSError:\n            pass\n"
    "print('{\"score\": 1}')\ndef answer(n):\n    return 'x'",
    reading_the_next_call="import os\ndef answer(n):\n    out = ''\n    for fd in range(3, 9):\n"
    "        try:\n            out += str(os.read(fd, 99999))\n        except OSError:\n"
    "            pass\n    return out",
    a_runner_of_its_own="import memsim.lab.grader.child as c\n"
    "c._answered = lambda names, script: {'answers': ['x'] * len(script), 'score': 1,\n"
    "    'failure': '', 'kind': 'ran'}\ndef answer(n):\n    return 'x'",
    kinds_that_are_none="import memsim.lab.grader.child as c\n"
    "c._answered = lambda names, script: {'answers': [], 'failure': 'x', 'kind': ['grader failed']}\n"
    "def answer(n):\n    return 'x'",
    the_grader_failed="import memsim.lab.grader.child as c\n"
    "c._answered = lambda names, script: {'answers': [], 'failure': 'x', 'kind': 'grader failed'}\n"
    "def answer(n):\n    return 'x'",
    not_even_an_object="import memsim.lab.grader.frames as f\n"
    "f.packed = lambda value: b'\\0\\0\\0\\4null'\ndef answer(n):\n    return 'x'",
    answers_that_are_no_list="import memsim.lab.grader.child as c\n"
    "c._answered = lambda names, script: {'answers': {'-1': 'x'}}\ndef answer(n):\n    return 'x'",
)

LIES = _answering(
    "lying objects",
    equal_to_all="class Yes:\n    def __eq__(self, other): return True\n"
    "    def __ne__(self, other): return False\n    __hash__ = None\n"
    "def answer(n):\n    return Yes()",
    a_text_equal_to_all="class Yes(str):\n    def __eq__(self, other): return True\n"
    "    __hash__ = str.__hash__\ndef answer(n):\n    return Yes('x')",
    a_number_equal_to_all="class Yes(int):\n    def __eq__(self, other): return True\n"
    "    def __sub__(self, other): return 0\n    __rsub__ = __sub__\n    __hash__ = int.__hash__\n"
    "def answer(n):\n    return Yes(1)",
    a_list_equal_to_all="class Yes(list):\n    def __eq__(self, other): return True\n"
    "    def __len__(self): return 1\n    def __iter__(self): return iter(['x'])\n"
    "def answer(n):\n    return Yes(['x'])",
    a_dict_with_a_score="class Yes(dict):\n    def __eq__(self, other): return True\n"
    "    def items(self): return [('score', 1)]\ndef answer(n):\n    return Yes(score=1)",
    another_index="class Yes:\n    def __index__(self): return 1\n    __class__ = str\n"
    "def answer(n):\n    return Yes()",
    true="def answer(n):\n    return True",
    a_changing_list="class Odd(list):\n    n = 0\n    def __iter__(self):\n"
    "        Odd.n += 1\n        return iter([Odd.n] * 3)\ndef answer(n):\n    return Odd()",
    an_error_that_lies="class Odd(Exception):\n    def __str__(self): raise SystemExit\n"
    "    def __repr__(self): while_ = 1 / 0\ndef answer(n):\n    raise Odd",
    an_error_named_at_length="Odd = type('x' * 10**6 + '\\n<script>', (Exception,), {})\n"
    "def answer(n):\n    raise Odd('\\x1b[2J\\n=1+1' * 10**5)",
    the_question_again="def answer(n):\n    return [n, {'n': n}]",
)

PATCHES = _answering(
    "patches",
    json="import json, json.encoder\njson.dumps = lambda *a, **k: '{\"score\": 1}'\n"
    "json.encoder.JSONEncoder.encode = lambda *a: '{}'\ndef answer(n):\n    return 'x'",
    builtins="import builtins\nbuiltins.len = lambda x: 0\nbuiltins.isinstance = lambda *a: True\n"
    "builtins.all = builtins.any = lambda x: True\nbuiltins.float = lambda x=0: 1.0\n"
    "def answer(n):\n    return 'x'",
    comparators="import memsim.lab.compare as c, memsim.lab.verdict as v\n"
    "c.equal = c._same = v.equal = lambda a, b: 1.0\nv.judge = lambda *a: 1\n"
    "for f in (v.points,):\n    f.__code__ = (lambda *a: 100).__code__\n"
    "def answer(n):\n    return 'x'",
    plain="import memsim.lab.plain as p, memsim.lab.script as s\n"
    "p.plain = s.plain = lambda value: 'x'\ndef answer(n):\n    return object()",
    script="import memsim.lab.script as s\n"
    "s.run_script = lambda names, script, answers: answers.extend(['x'] * len(script))",
    the_whole_of_memsim="import sys, types\nfor name in list(sys.modules):\n"
    "    if name.startswith('memsim'):\n        sys.modules[name] = types.ModuleType(name)\n"
    "def answer(n):\n    return 'x'",
    os_write="import os\nold = os.write\n"
    "os.write = lambda fd, data: old(fd, data.replace(b'false', b'true')) or len(data)\n"
    "def answer(n):\n    return False",
    unittest="import unittest\nunittest.TestCase.assertEqual = lambda *a, **k: None\n"
    "unittest.TestCase.run = lambda *a, **k: None\ndef answer(n):\n    return 'x'",
    ipython="from IPython.core.interactiveshell import InteractiveShell\n"
    "InteractiveShell.showtraceback = lambda *a, **k: None\nget_ipython().input_transformers_post"
    ".append(lambda lines: [l for l in lines if 'assert' not in l])\n"
    "def answer(n):\n    return 'x'",
    import_hooks="import sys\nclass Finder:\n    def find_spec(self, name, path=None, target=None):\n"
    "        raise SystemExit\nsys.meta_path.insert(0, Finder())\nsys.modules.clear()\n"
    "def answer(n):\n    return 'x'",
    deepcopy="import copy\ncopy.deepcopy = lambda x, memo=None: 1 / 0\ndef answer(n):\n    return n",
    the_exercise="from memsim.lab import Exercise\nExercise.check = lambda self: 100\n"
    "Exercise.points = 100\ndef answer(n):\n    return Exercise('01_target').check()",
)

FRAMES = [
    *_looking(
        "looking around",
        frames_above="import sys\nf = sys._getframe()\nfound = ''\nwhile f:\n"
        "    found += repr(f.f_locals) + repr(f.f_globals)\n    f = f.f_back",
        garbage_collector="import gc\nfound = [o for o in gc.get_objects() if isinstance(o, dict)\n"
        "    and ('expected' in o or 'hidden' in o)]",
        all_objects="import gc, re\nfound = re.findall('[0-9a-f]{32}', repr(gc.get_objects()))",
        subclasses="found = [c for c in object.__subclasses__() if 'Case' in c.__name__]",
        environment="import os\nfound = dict(os.environ)",
        arguments="import sys\nfound = sys.argv, sys.orig_argv, sys.flags",
        own_memory="import ctypes, re\nat = id(re)\n"
        "found = re.findall(b'[0-9a-f]{32}', ctypes.string_at(at - 4096, 1 << 16))",
        modules="import sys\nfound = {n: getattr(m, 'ANSWERS', getattr(m, 'EXPECTED', 0))\n"
        "    for n, m in sys.modules.items()}",
        private_module="import memsim.lab.grader.runner as r\nfound = vars(r)",
    ),
    *_answering(
        "looking around",
        the_caller="import sys\ndef answer(n):\n    f = sys._getframe(1)\n    out = ''\n"
        "    while f:\n        out += repr(f.f_locals)\n        f = f.f_back\n"
        "    import re\n    return (re.findall('[0-9a-f]{32}', out) or ['x'])[0]",
        settrace="import sys\nseen = []\ndef trace(frame, event, arg):\n"
        "    seen.append(str(arg)[:99])\n    if event == 'return': frame.f_locals['told'] = 1\n"
        "    return trace\nsys.settrace(trace)\ndef answer(n):\n    return seen[-1]",
        setprofile="import sys\nsys.setprofile(lambda f, e, a: f.f_globals.update(LIMIT=1))\n"
        "def answer(n):\n    return 'x'",
        inspect="import inspect\ndef answer(n):\n"
        "    return [i.frame.f_locals.get('expected') for i in inspect.stack()]",
    ),
]

ENDS = _answering(
    "ending",
    sys_exit="import sys\ndef answer(n):\n    sys.exit(0)",
    sys_exit_at_once="import sys\nsys.exit(0)",
    os_exit="import os\ndef answer(n):\n    os._exit(0)",
    os_exit_at_once="import os\nprint('{\"score\": 100}')\nos._exit(0)",
    abort="import os\ndef answer(n):\n    os.abort()",
    segfault="import ctypes\ndef answer(n):\n    ctypes.string_at(1)",
    segfault_of_recursion="import sys\nsys.setrecursionlimit(10**9)\n"
    "def answer(n):\n    return [answer(n)]",
    kill_itself="import os\ndef answer(n):\n    os.kill(os.getpid(), 9)\n    os.kill(0, 9)",
    kill_all="import os\nfor pid in (@PID@, -1, 0, 1, os.getppid()):\n    try:\n"
    "        os.kill(pid, 9)\n    except OSError:\n        pass\ndef answer(n):\n    return 'x'",
    kill_the_group="import os\nos.killpg(0, 9)\ndef answer(n):\n    return 'x'",
    atexit="import atexit, os\natexit.register(os.write, 1, b'{\"score\": 1}')\n"
    "raise SystemExit(0)",
    exit_of_an_object="class Odd:\n    def __del__(self):\n        import os\n        os._exit(0)\n"
    "def answer(n):\n    return [Odd()]",
    replaced_by_another_program="import os\nos.execv('/bin/echo', ['echo', '{\"score\": 1}'])",
    interrupt="def answer(n):\n    raise KeyboardInterrupt",
    generator_exit="def answer(n):\n    raise GeneratorExit",
)

LONG = _answering(
    "time",
    a_loop="def answer(n):\n    while True: pass",
    a_loop_in_a_cell="while True: pass",
    a_loop_that_catches="def answer(n):\n    while True:\n        try:\n            while True: pass\n"
    "        except BaseException: pass",
    sleep="import time\ndef answer(n):\n    time.sleep(10**6)",
    a_loop_in_C="def answer(n):\n    return sum(range(10**15))",
    a_regular_expression="import re\ndef answer(n):\n    re.match('(a+)+$', 'a' * 64 + 'b')",
    a_huge_power="def answer(n):\n    return 9 ** (9 ** 9)",
    signals_ignored="import signal\nfor n in range(1, 65):\n    try:\n"
    "        signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n"
    "def answer(n):\n    while True: pass",
    an_alarm="import signal\nsignal.signal(signal.SIGALRM, lambda *a: 1 / 0)\nsignal.alarm(1)\n"
    "def answer(n):\n    signal.pause()",
    input="def answer(n):\n    return input() or open(0).read()",
    a_fifo_like_read="import os\ndef answer(n):\n    return str(os.read(3, 1)) + str(os.read(3, 1))",
    a_lock="import threading\nlock = threading.Lock()\nlock.acquire()\ndef answer(n):\n    lock.acquire()",
    equality_without_an_end="class Odd(str):\n    def __len__(self):\n        while True: pass\n"
    "def answer(n):\n    return Odd('x')",
    an_iterator_without_an_end="class Odd(list):\n    def __iter__(self):\n        while True: yield 0\n"
    "def answer(n):\n    return Odd()",
)

LARGE = _answering(
    "size",
    memory="x = []\ndef answer(n):\n    while True: x.append(bytearray(1 << 24))",
    memory_in_a_cell="x = [bytearray(1 << 30) for _ in range(99)]",
    memory_kept_on_error="x = []\ndef answer(n):\n    try:\n        while True: x.append(' ' * 999)\n"
    "    except MemoryError:\n        return x",
    a_mapping="import mmap\ndef answer(n):\n    return len(mmap.mmap(-1, 1 << 40))",
    output_without_an_end="def answer(n):\n    while True: print('x' * 9999)",
    output_to_stderr="import sys\nwhile True: sys.stderr.write('y' * 9999)",
    output_of_4_MiB="print('x' * (4 << 20))\ndef answer(n):\n    return 'x'",
    a_deep_list="def answer(n):\n    x = []\n    for _ in range(10**5): x = [x]\n    return x",
    a_list_in_itself="def answer(n):\n    x = []\n    x.append(x)\n    return x",
    a_long_list="def answer(n):\n    return [0] * 10**7",
    a_long_text="def answer(n):\n    return 'x' * 10**8",
    a_huge_number="def answer(n):\n    return 1 << 10**7",
    nan="def answer(n):\n    return float('nan')",
    infinity="def answer(n):\n    return [float('inf'), -0.0, 1e308 * 10]",
    half_a_character="def answer(n):\n    return '\\ud800' + chr(0) + '\\x1b[2J'",
    many_keys="def answer(n):\n    return {str(k): k for k in range(10**6)}",
    deep_json="import memsim.lab.grader.frames as f\n"
    "f.packed = lambda value: (900000).to_bytes(4, 'big') + b'[' * 900000\n"
    "def answer(n):\n    return 'x'",
    json_of_constants="import memsim.lab.grader.frames as f\nbody = b'{\"answers\": [NaN, 1e999]}'\n"
    "f.packed = lambda value: len(body).to_bytes(4, 'big') + body\ndef answer(n):\n    return 'x'",
    digits_without_an_end="import memsim.lab.grader.frames as f\n"
    "body = b'{\"answers\": [' + b'9' * 900000 + b']}'\n"
    "f.packed = lambda value: len(body).to_bytes(4, 'big') + body\ndef answer(n):\n    return 'x'",
    too_many_files="import os\nx = []\nwhile True: x.append(os.dup(1))",
    a_source_that_is_deep="exec('(' * 10**5 + ')' * 10**5)",
    a_compiled_constant="exec('x = ' + '-' * 10**6 + '1')",
)

OTHERS = _looking(
    "processes and network",
    fork="import os\nfound = os.fork()",
    a_fork_bomb="import os\nwhile True: os.fork()",
    subprocess="import subprocess\nfound = subprocess.run(['id'], capture_output=True).stdout",
    a_shell="import os\nfound = os.popen('cat @COURSE@/secret.txt').read()",
    posix_spawn="import os\nfound = os.posix_spawn('/bin/cat', ['cat', '@COURSE@/secret.txt'], {})",
    multiprocessing="import multiprocessing as m\nfound = m.Pool(2).map(abs, [1])",
    threads="import threading, os\nthreading.Thread(target=os._exit, args=(0,), daemon=True).start()",
    many_threads="import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
    raw_clone="import ctypes\nfound = ctypes.CDLL(None).syscall(56, 17, 0, 0, 0, 0)",
    a_connection="import socket\ns = socket.create_connection(('127.0.0.1', @PORT@), 1)\n"
    "s.sendall(b'hello')\nfound = s.recv(99)",
    a_name_looked_up="import socket\nfound = socket.getaddrinfo('localhost', 80)",
    http="import urllib.request\nfound = urllib.request.urlopen('http://127.0.0.1:@PORT@').read()",
    a_local_socket="import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('\\0memsim-@PORT@')\n"
    "s.sendall(b'hello')\nfound = s.recv(99)",
    a_socket_by_number="import ctypes\nlibc = ctypes.CDLL(None)\nfound = libc.syscall(41, 2, 1, 0)\n"
    "found = 'a socket' if found >= 0 else 'none'",
    io_uring="import ctypes\nfound = ctypes.CDLL(None).syscall(425, 8, (ctypes.c_uint32 * 32)())",
    x32_numbers="import ctypes\nfound = ctypes.CDLL(None).syscall(0x40000000 + 57)",
    a_namespace="import ctypes\nfound = ctypes.CDLL(None).unshare(0x10000000)",
    mounting="import ctypes\nfound = ctypes.CDLL(None).mount(b'none', b'/', b'tmpfs', 0, None)",
    root_again="import os\nos.setuid(0)\nfound = os.getuid()",
    chroot="import os\nos.chroot('.')\nfound = os.listdir('/')",
    limits_raised="import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n"
    "resource.prlimit(@PID@, resource.RLIMIT_CPU, (1, 1))",
    priority="import os\nfound = os.setpriority(os.PRIO_PROCESS, @PID@, 19)",
    terminal="import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSTI, b'x')\n"
    "found = open('/dev/tty').read(1)",
    signal_by_fcntl="import fcntl, signal, os\nfcntl.fcntl(1, fcntl.F_SETOWN, @PID@)\n"
    "fcntl.fcntl(1, 10, 9)\nfcntl.fcntl(1, fcntl.F_SETFL, os.O_ASYNC)",
    keys="import ctypes\nfound = ctypes.CDLL(None).syscall(250, 0, -3, 0)",
    shared_memory_of_system_v="import ctypes\nfound = ctypes.CDLL(None).shmget(77, 1 << 20, 0o1666)",
    a_queue="import ctypes\nfound = ctypes.CDLL(None).msgget(77, 0o1666)",
)

STATE = _answering(
    "state and guessing",
    left_for_the_next="import sys, os, builtins\nbuiltins.ANSWERS = ['x']\n"
    "os.environ['ANSWERS'] = 'x'\nsys.path.insert(0, '/tmp')\ndef answer(n):\n    return 'x'",
    a_counter="n = 0\ndef answer(k):\n    global n\n    n += 1\n    return n",
    hidden_questions_printed="def answer(n):\n    print('ASKED', n)\n    raise ValueError(f'ASKED {n}')",
    time_told="import time\ndef answer(n):\n    time.sleep(n % 3 / 50)\n    return time.time()",
    nothing_at_all="",
    no_python="def answer(n) return",
    not_a_function="answer = 'x'",
    an_answer_from_the_seed="import random\ndef answer(n):\n    return f'{random.Random(n).getrandbits(128):032x}'",
    a_prediction_of_the_secret="from memsim.lab.variants import seed_of\ndef answer(n):\n"
    "    return f\"{seed_of(b'secret', 'student', '01_target'):032x}\"",
    async_code="import asyncio\nasync def answer(n):\n    return 'x'",
    the_main_module="import __main__\n__main__.answer = lambda n: 'x'\n"
    "__main__.__dict__['score'] = 100",
)

ATTACKS: tuple[Attack, ...] = (
    *FILES, *WRITING, *PARENT, *CHANNEL, *LIES, *PATCHES, *FRAMES, *ENDS, *LONG, *LARGE, *OTHERS,
    *STATE,
)  # fmt: skip
