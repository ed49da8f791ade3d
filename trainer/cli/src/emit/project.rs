//! What build systems read, and people.

use std::fmt::Write as _;

use thumbnet_boards::library::Library;
use thumbnet_runtime::cores::{CORES, Target};

use super::c::{Built, Folder};

/// The core that a library is made for, and its name in the Makefile: `m4`, `m4-soft`.
pub fn core_name(target: &Target) -> (String, Option<&'static str>) {
    let core = CORES
        .iter()
        .find(|core| core.targets.contains(target))
        .expect("targets come from the table of cores");
    let first = core.targets.first() == Some(target);
    let name = match first {
        true => core.short.to_string(),
        false => format!("{}-soft", core.short),
    };
    (name, core.machine)
}

/// What a C compiler is told.
fn c_flags(target: &Target) -> &'static str {
    Library::c_flags(target).expect("a test looks that every target has some")
}

/// The program that compiles for a target: Arm's or RISC-V's.
fn compiler(target: &Target) -> &'static str {
    match target.triple.starts_with("thumb") {
        true => "arm-none-eabi-",
        false => "riscv-none-elf-",
    }
}

/// `Makefile`: the example for each core, in C and C++, and QEMU.
pub fn makefile(built: &[Built]) -> String {
    let mut cores = String::new();
    let mut names = Vec::new();
    for library in built {
        let target = library.target;
        let (name, machine) = core_name(target);
        // Writing to a string cannot fail.
        let _ = write!(
            cores,
            "FLAGS_{name} = {}\nLIB_{name} = lib/{}\nCROSS_{name} = {}\n",
            c_flags(target),
            Library::name(target),
            compiler(target)
        );
        if let Some(machine) = machine {
            let _ = writeln!(cores, "MACHINE_{name} = {machine}");
        }
        names.push(name);
    }
    let first = match names.iter().any(|name| name == "m4") {
        true => "m4",
        false => names.first().map_or("m4", String::as_str),
    };
    MAKEFILE
        .replace("@CORES@", cores.trim_end())
        .replace("@NAMES@", &names.join(" "))
        .replace("@FIRST@", first)
}

const MAKEFILE: &str = "\
# make run             builds the example in C for an emulated Cortex-M and runs it
# make run SOURCE=cpp  the same in C++
# make run EXAMPLE=detect  the example for models that detect anomalies
# make run CORE=m0     for another core, one of: @NAMES@
CORE ?= @FIRST@
SOURCE ?= c
EXAMPLE ?= classify

@CORES@

CROSS ?= $(CROSS_$(CORE))
FLAGS = $(FLAGS_$(CORE))
MACHINE = $(MACHINE_$(CORE))
ifeq ($(FLAGS),)
$(error CORE=$(CORE) is none of @NAMES@)
endif

BUILD = build/$(CORE)
OPTIMIZE = -Os -ffunction-sections -fdata-sections
WARN = -Wall -Wextra -Werror -Wconversion
INCLUDE = -I. -Iexamples
C = $(CROSS)gcc $(FLAGS) -std=c99 $(WARN) $(OPTIMIZE) $(INCLUDE) -c
CXX_ = $(CROSS)g++ $(FLAGS) -std=c++17 -fno-exceptions -fno-rtti $(WARN) $(OPTIMIZE) $(INCLUDE) -c
OBJECTS = $(BUILD)/model.o $(BUILD)/$(EXAMPLE)-$(SOURCE).o $(BUILD)/startup.o $(BUILD)/semihosting.o
LIBRARY = $(LIB_$(CORE))/libthumbnet.a
ELF = $(BUILD)/$(EXAMPLE)-$(SOURCE).elf

all: $(ELF)

run: all
ifeq ($(MACHINE),)
\t@echo \"CORE=$(CORE) has no machine in QEMU\"; false
else
\t@qemu-system-arm -machine $(MACHINE) -display none -monitor none -serial none \\
\t  -semihosting-config enable=on,target=native -kernel $(ELF)
endif

$(ELF): $(OBJECTS) $(LIBRARY)
\t$(CROSS)gcc $(FLAGS) -nostartfiles -Wl,--gc-sections,-z,noexecstack -Lexamples/qemu \\
\t  -T examples/qemu/$(MACHINE).ld $(OBJECTS) $(LIBRARY) -o $@

$(BUILD)/%-c.o: examples/%.c *.h examples/*.h | $(BUILD)
\t$(C) $< -o $@
$(BUILD)/%-cpp.o: examples/%.cpp *.h examples/*.h | $(BUILD)
\t$(CXX_) $< -o $@
$(BUILD)/%.o: examples/qemu/%.c | $(BUILD)
\t$(C) $< -o $@
$(BUILD)/%.o: %.c *.h | $(BUILD)
\t$(C) $< -o $@
$(BUILD):
\tmkdir -p $@

clean:
\trm -rf build

.PHONY: all run clean
";

/// `README.txt`.
pub fn readme(folder: &Folder, built: &[Built]) -> String {
    let mut libraries = String::new();
    for library in built {
        let target = library.target;
        // Writing to a string cannot fail.
        let _ = writeln!(
            libraries,
            "  lib/{}/libthumbnet.a\n      {}",
            Library::name(target),
            c_flags(target)
        );
    }
    format!(
        "\
{from} as C, made by `thumbnet export --emit c`.

  make run             build the example and run it in QEMU, on an emulated core
  make run SOURCE=cpp  the same in C++
  make CORE=m0         build only, for another core

(apt-get install make gcc-arm-none-eabi qemu-system-arm)

In a project of yours: compile model.c, put this folder on the include path, and link the library of your core
with -Wl,--gc-sections. Each is listed with the flags of GCC and Clang that fit it:

{libraries}
The library is built for this model: other weight types and activations are refused with an error code. Where
the weights are arranged for another core (thumbnet export --core), it runs them many times slower, with the
same results.

thumbnet.h documents every function. model.h has the sizes for static arrays.
",
        from = folder.from,
    )
}
