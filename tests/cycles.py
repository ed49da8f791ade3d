"""The inner loops of the kernels: instructions, and cycles as llvm-mca models the core.

usage: tests/cycles.py

Cycles are estimates: they know the pipeline, and nothing of flash, caches and buses. Cores that llvm-mca has no model of
have instructions alone. Needs the Rust targets, and llvm-mca 19 or later (Debian: llvm-19); without it nothing is measured."""
import os, pathlib, re, shutil, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MCA = next(filter(None, map(shutil.which, [*(f"llvm-mca-{n}" for n in range(30, 18, -1)), "llvm-mca"])), None)
M0, M3, M4, M8 = "thumbv6m-none-eabi", "thumbv7m-none-eabi", "thumbv7em-none-eabihf", "thumbv8m.main-none-eabihf"

# Core, Rust target, -C target-cpu, what llvm-mca calls it, and of each kernel: the end of its path, multiply-accumulates of
# a pass of its loop, and the least instructions for one that its instruction set allows with its order of weights, where derived.
DSP = [("dsp::kernel::int8::run", "int8", 128, 0.72), ("dsp::kernel::int4::run", "int4", 128, 0.84),
       ("dsp::kernel::int16::run", "int16", 128, None), ("dense::fpu::run", "f32", 16, None)]
MVE = [("mve::kernel::int8", "int8", 64, 10 / 64), ("mve::kernel::int4", "int4", 128, None),
       ("mve::kernel::int16", "int16", 32, 10 / 32), ("dense::mve::flags", "f32", 32, 0.78)]
CORES = [
    ("Cortex-M0", M0, "cortex-m0", None, [("armv6m::int8::int8", "int8", 32, 2.31)]),
    ("Cortex-M3", M3, "cortex-m3", None, [("armv7m::int8::int8", "int8", 128, 1.40)]),
    ("Cortex-M4F", M4, "cortex-m4", None, DSP),
    ("Cortex-M7", M4, "cortex-m7", "cortex-m7", DSP),
    ("Cortex-M55", M8, "cortex-m55", "cortex-m55", MVE),
    ("Cortex-M85", M8, "cortex-m85", "cortex-m85", MVE),
]


def parts(symbol):
    """Of a mangled name: each has its length before it; the last one is a hash."""
    found = []
    while size := re.match(r"\d+", symbol):
        end = size.end() + int(size[0])
        found.append(symbol[size.end():end])
        symbol = symbol[end:]
    return found


def functions(target, cpu):
    """Lines of each function, by its path, as rustc and LLVM write them."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cargo", "rustc", "--quiet", "--release", "--target", target, "--target-dir", folder,
                        "--no-default-features", "--features", "int4,int16,f32", "--",
                        "-C", "codegen-units=1", "--emit", "asm"],
                       cwd=ROOT / "runtime", check=True, env={**os.environ, "RUSTFLAGS": f"-C target-cpu={cpu}"})
        text = "".join(p.read_text() for p in pathlib.Path(folder, target, "release/deps").glob("thumbnet_runtime*.s"))
    found, lines = {}, []
    for line in text.splitlines():
        if symbol := re.match(r"_ZN(\S+)E:", line):
            lines = found.setdefault("::".join(parts(symbol[1])[:-1]), [])
        else:
            lines.append(line.split("@")[0].strip())
    return found


def loop(lines):
    """Instructions of the largest loop that has no other in it."""
    labels = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    loops = []
    for i, line in enumerate(lines):
        jump = re.match(r"(?:b(?:ne|hs|hi|lo)(?:\.\w)?|letp|le|bne\.w)\s.*?(\.L\w+)$", line)
        if jump and labels.get(jump[1], i) < i:
            loops.append((labels[jump[1]], i + 1))
    inner = [(a, b) for a, b in loops if not any(a <= c and d <= b and (a, b) != (c, d) for c, d in loops)]
    start, end = max(inner, key=lambda ends: ends[1] - ends[0])
    return [line for line in lines[start:end] if line and not line.startswith(".")]


def cycles(code, target, model):
    """Of one pass, over 100 of them; jumps are left out."""
    code = [line for line in code if not re.match(r"(b|le|letp)(\.|\w\w\b|\w\w\.|\s)", line) or line.startswith("bic")]
    run = subprocess.run([MCA, f"-mtriple={target.replace('thumbv8m.main', 'thumbv8.1m.main')}", f"-mcpu={model}", "-iterations=100"],
                         input="\n".join(code), capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"error: llvm-mca cannot read the loop: {run.stderr.strip()[:300]}")
    return int(re.search(r"Total Cycles:\s+(\d+)", run.stdout)[1]) / 100


if MCA is None:
    sys.exit(print("skipped: no llvm-mca; install it (Debian: apt-get install llvm-19)") or 0)
print("| core | weights | instructions per MAC, loop | least | cycles per MAC, loop, by llvm-mca |\n|---|---|---|---|---|")
for core, target, cpu, model, kernels in CORES:
    found = functions(target, cpu)
    for path, name, macs, limit in kernels:
        names = [known for known in found if known.endswith(path)]
        if len(names) != 1:
            sys.exit(f"error: {core} has {len(names)} functions {path}, expected 1: {sorted(found)}")
        code = loop(found[names[0]])
        time = f"{cycles(code, target, model) / macs:.2f}" if model else ""
        print(f"| {core} | {name} | {len(code) / macs:.3f} | {f'{limit:.2f}' if limit else ''} | {time} |", flush=True)
