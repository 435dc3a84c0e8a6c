"""The program of the child that loads a plugin's modules: a bare Python with nothing in it but LuaJIT.

Started by `sandbox` as a script, never imported: `python -I -S _child.py`. It reads one marshalled request,
limits itself, says that it is ready, and writes one line of JSON for each job. A child of its own, because C
modules of a rock can crash a process in which several Luas live, and because only a process can be stopped
whatever it does.
"""

import marshal
import os
import resource
import sys

# Exit codes that `sandbox` knows: the modules left no memory even for a report; anything else went wrong.
OUT_OF_MEMORY, GAVE_UP = 77, 78


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError):
        # not every system knows every limit; the parent's clock and Lua's own memory limit hold anyway
        pass


def _main() -> None:
    request = marshal.loads(sys.stdin.buffer.read())
    memory: int = request["memory"]
    _limit(resource.RLIMIT_CPU, request["cpu"])
    _limit(resource.RLIMIT_AS, memory + 768 * 1024 * 1024)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 64)
    _limit(resource.RLIMIT_NPROC, 0)

    answer = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)

    sys.path.insert(0, request["lupa"])
    # C modules of the rock look for Lua's functions among the global symbols
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
    from lupa.luajit21 import LuaRuntime

    lua = LuaRuntime(encoding=None, register_eval=False, register_builtins=False, max_memory=memory)

    def table(value: object) -> object:
        if isinstance(value, dict):
            return lua.table_from({table(key): table(item) for key, item in value.items()})
        if isinstance(value, list):
            return lua.table_from([table(item) for item in value])
        return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value

    run = lua.execute(request["probe"], table(request["lua"]), name="=[stand-in] probe")
    os.write(answer, b"ready\n")
    for index in range(1, request["jobs"] + 1):
        try:
            line = memoryview(run(index) + b"\n")
        except Exception as problem:
            os._exit(OUT_OF_MEMORY if isinstance(problem, MemoryError) else GAVE_UP)
        while line:
            line = line[os.write(answer, line) :]
    os._exit(0)


_main()
