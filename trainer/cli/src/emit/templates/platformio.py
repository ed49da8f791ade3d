# Links the library of the board's core, of those in src: library.json names this file.
from glob import glob
from os.path import basename, isdir, join

Import("env")  # noqa: F821

flags = [str(flag) for flag in env.Flatten([env.get(key, []) for key in ("CCFLAGS", "LINKFLAGS")])]  # noqa: F821
value = {flag.split("=", 1)[0]: flag.split("=", 1)[1] for flag in flags if "=" in flag}
board = env.BoardConfig()  # noqa: F821
source = join(env.Dir(".").srcnode().get_abspath(), "src")  # noqa: F821
found = []
for core in (board.get("build.mcu", ""), value.get("-mcpu", ""), board.get("build.cpu", "")):
    folder = join(source, core)
    if not core or not isdir(folder):
        continue
    # Libraries for floats in the FPU's registers have a folder within, any of which serves.
    hard = sorted(glob(join(folder, "*-hard")))
    found = hard if hard and value.get("-mfloat-abi") == "hard" else [folder]
    if glob(join(found[0], "*.a")):
        break
    found = []
if not found:
    cores = ", ".join(sorted(basename(folder.rstrip("/\\")) for folder in glob(join(source, "*", ""))))
    raise SystemExit("thumbnet_model has no library for this board, expected a core among " + cores
                     + "; export again with its core in --libraries")
env.Append(LIBPATH=[found[0]], LIBS=["thumbnet"])  # noqa: F821
