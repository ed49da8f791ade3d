//! `thumbnet export --emit c --wrappers`: files of other build systems are what those read, name files that are
//! there, and take the library of the core that they build for.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use thumbnet_tests::{command::thumbnet, random_model::RandomModel};

use super::c::{expected, exported, is_ready};

/// A folder `c` with all wrappers for cores with and without FPU, Arm's and RISC-V's.
fn wrapped(folder: &Path) -> RandomModel {
    let model = exported(folder);
    let line = "export m.tnet --emit c c --libraries m0,m4,rv32imac --wrappers cmake,arduino,zephyr,esp-idf,cmsis-pack";
    thumbnet(folder, line.split(' ')).ok();
    model
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{:?}: {error}", path.as_ref()))
}

/// Whether a program is on this machine; says what is missing.
fn has(program: &str, how: &str) -> bool {
    let found = Command::new(program).arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: {program} was not found; get it with {how}");
    }
    found
}

fn succeed(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{error}");
    out + &error
}

/// A pack's description parses; its conditions and files are there, and no device gets two libraries.
#[test]
fn the_pack_names_files_that_exist() {
    let folder = tempfile::tempdir().unwrap();
    wrapped(folder.path());
    let c = folder.path().join("c");
    let text = read(c.join("thumbnet.model.pdsc"));
    let document = roxmltree::Document::parse(&text).unwrap();
    let package = document.root_element();
    let child = |name: &str| {
        let found = package.children().find(|node| node.has_tag_name(name));
        found.and_then(|node| node.text()).unwrap_or_default()
    };
    // A description is called as vendor and pack.
    assert_eq!((child("vendor"), child("name")), ("thumbnet", "model"));
    assert_eq!(child("description"), "The neural network of m.tnet");
    let named = |tag: &str| -> Vec<roxmltree::Node> {
        let nodes = document.descendants();
        nodes.filter(|node| node.has_tag_name(tag)).collect()
    };
    assert_eq!(named("release").len(), 1);
    let conditions: Vec<&str> = named("condition")
        .iter()
        .filter_map(|node| node.attribute("id"))
        .collect();
    let mut libraries = 0;
    for file in named("file") {
        assert!(
            c.join(file.attribute("name").unwrap()).is_file(),
            "{file:?}"
        );
        if file.attribute("category") == Some("library") {
            assert!(conditions.contains(&file.attribute("condition").unwrap()));
            libraries += 1;
        }
    }
    // M0, and M4 with and without FPU; a pack is for Arm's cores alone.
    assert_eq!(libraries, 3);
    let mut cores: Vec<(&str, &str)> = named("accept")
        .iter()
        .filter_map(|node| Some((node.attribute("Dcore")?, node.attribute("Dfpu")?)))
        .collect();
    let count = cores.len();
    assert_eq!(count, 3 + 2 * 3 + 2);
    cores.sort_unstable();
    cores.dedup();
    assert_eq!(cores.len(), count);
}

/// The keys that Arduino's specification requires, and what PlatformIO, Zephyr and ESP-IDF read.
#[test]
fn manifests_have_the_keys_that_are_required() {
    let folder = tempfile::tempdir().unwrap();
    wrapped(folder.path());
    let c = folder.path().join("c");
    let properties = read(c.join("library.properties"));
    let properties: HashMap<&str, &str> = properties
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .collect();
    for key in [
        "name",
        "version",
        "author",
        "maintainer",
        "sentence",
        "paragraph",
        "category",
        "url",
        "architectures",
    ] {
        assert!(!properties[key].is_empty(), "{key}");
    }
    assert_eq!(
        (properties["precompiled"], properties["ldflags"]),
        ("true", "-lthumbnet")
    );
    for header in properties["includes"].split(',') {
        assert!(c.join("src").join(header).is_file(), "{header}");
    }
    for core in [
        "cortex-m0plus",
        "cortex-m4/fpv4-sp-d16-hard",
        "cortex-m4",
        "esp32c6",
    ] {
        assert!(
            c.join("src").join(core).join("libthumbnet.a").is_file(),
            "{core}"
        );
    }

    let json: Value = serde_json::from_str(&read(c.join("library.json"))).unwrap();
    assert_eq!(json["name"], properties["name"]);
    assert!(
        c.join(json["build"]["extraScript"].as_str().unwrap())
            .is_file()
    );

    assert_eq!(
        read(c.join("zephyr/module.yml")),
        "name: thumbnet_model\nbuild:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig\n"
    );
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        read(c.join("idf_component.yml")),
        format!(
            "version: \"{version}\"\ndescription: \"The neural network of m.tnet\"\n\
             url: {}\nlicense: MIT OR Apache-2.0\n\
             targets:\n  - esp32c5\n  - esp32c6\n  - esp32c61\n  - esp32h2\n",
            env!("CARGO_PKG_REPOSITORY")
        )
    );
}

/// Enough of Arduino for the example, by semihosting.
const ARDUINO: &str = "\
#include <math.h>
#include <stdint.h>
#include \"qemu/semihosting.h\"
struct Serial_ {
    void begin(unsigned long) {}
    void print(const char *text) { ::print(text); }
    void println(const char *text) { print(text); print(\"\\n\"); }
    void print(unsigned long number) { print_number(number); }
    void print(double value, int) { print_bits((float)value); }
};
static Serial_ Serial;
void setup();
void loop();
int main() { setup(); loop(); stop(0); }
";

/// Arduino's example is compiled as its build does, linked with the library of the board's folder, and run.
#[test]
fn the_arduino_example_gives_the_bits_of_the_host() {
    if !is_ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = wrapped(folder.path());
    let c = folder.path().join("c");
    fs::write(c.join("Arduino.h"), ARDUINO).unwrap();
    let expected: Vec<String> = expected(&model).lines().map(str::to_string).collect();
    // The same rows as in the sketch: those that the model has are not in a .tnet, which comes with zeros.
    let rows: Vec<String> = (model.x.chunks(model.inputs))
        .map(|row| {
            row.iter()
                .map(|x| format!("{x:e}F"))
                .collect::<Vec<_>>()
                .join(",")
        })
        .collect();
    let text = format!(
        "#include \"model.h\"\nstatic const float rows[][MODEL_INPUTS] = {{{{{}}}}};\n",
        rows.join("},{")
    );
    fs::write(c.join("examples/classify/rows.h"), text).unwrap();
    for (machine, flags, library) in [
        ("microbit", "-mcpu=cortex-m0 -mthumb", "cortex-m0"),
        (
            "mps2-an386",
            "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard",
            "cortex-m4/fpv4-sp-d16-hard",
        ),
        // As Arduino's Mbed boards pass floats.
        (
            "mps2-an386",
            "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=softfp",
            "cortex-m4",
        ),
    ] {
        let gcc = |program: &str, line: &str| {
            let output = Command::new(program)
                .current_dir(&c)
                .args(flags.split(' '))
                .args(line.split(' '))
                .output();
            assert_eq!(succeed(output.unwrap()), "");
        };
        let common = "-Os -Wall -Wextra -Werror -ffunction-sections -Isrc -Iexamples -c";
        gcc(
            "arm-none-eabi-g++",
            &format!(
                "-std=c++17 -fno-exceptions -fno-rtti {common} -I. -x c++ -include Arduino.h examples/classify/classify.ino -o sketch.o"
            ),
        );
        for (source, object) in [
            ("src/model.c", "model.o"),
            ("examples/qemu/startup.c", "startup.o"),
            ("examples/qemu/semihosting.c", "semihosting.o"),
        ] {
            gcc(
                "arm-none-eabi-gcc",
                &format!("-std=c99 {common} {source} -o {object}"),
            );
        }
        gcc(
            "arm-none-eabi-gcc",
            &format!(
                "-nostartfiles -Wl,--gc-sections,-z,noexecstack -Lexamples/qemu -T examples/qemu/{machine}.ld sketch.o model.o startup.o semihosting.o -Lsrc/{library} -lthumbnet -o sketch.elf"
            ),
        );
        let machine = Command::new("qemu-system-arm")
            .args([
                "-machine", machine, "-display", "none", "-monitor", "none", "-serial", "none",
            ])
            .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
            .arg(c.join("sketch.elf"))
            .output();
        let said = succeed(machine.unwrap());
        for (said, expected) in said.lines().zip(&expected) {
            // Outputs, class and label are expected; class, its score and its label are said.
            let expected: Vec<&str> = expected.split(' ').collect();
            let [outputs @ .., class, label] = expected.as_slice() else {
                panic!("{expected:?}")
            };
            let score = outputs[class.parse::<usize>().unwrap()];
            assert_eq!(said, format!("{class}  {score}  {label}"), "{library}");
        }
        assert_eq!(said.lines().count(), expected.len(), "{said}");
    }
}

/// What ESP-IDF and Zephyr have of functions, for the files of the folder: they say what they are given.
const ESP_IDF: &str = "\
cmake_minimum_required(VERSION 3.16)
project(firmware NONE)
set(ESP_PLATFORM 1)
set(COMPONENT_LIB component)
function(idf_build_get_property name property)
  set(${name} ${IDF_TARGET} PARENT_SCOPE)
endfunction()
function(idf_component_register)
  message(STATUS \"registered ${ARGN}\")
  add_library(component STATIC IMPORTED GLOBAL)
endfunction()
function(add_prebuilt_library name path)
  if(NOT EXISTS ${path})
    message(FATAL_ERROR \"${path} is not there\")
  endif()
  message(STATUS \"linked ${path}\")
endfunction()
function(target_link_libraries)
endfunction()
add_subdirectory(c)
";

const ZEPHYR: &str = "\
cmake_minimum_required(VERSION 3.20)
project(firmware NONE)
set(CONFIG_THUMBNET y)
function(zephyr_library_named name)
endfunction()
function(zephyr_library_sources path)
  if(NOT EXISTS ${path})
    message(FATAL_ERROR \"${path} is not there\")
  endif()
endfunction()
function(zephyr_include_directories path)
endfunction()
function(zephyr_library_import name path)
  if(NOT EXISTS ${path})
    message(FATAL_ERROR \"${path} is not there\")
  endif()
  message(STATUS \"linked ${path}\")
endfunction()
add_subdirectory(c/zephyr)
";

/// A firmware of CMake's.
const FIRMWARE: &str = "\
cmake_minimum_required(VERSION 3.16)
project(firmware C)
add_subdirectory(c)
add_executable(firmware c/examples/classify.c c/examples/qemu/startup.c c/examples/qemu/semihosting.c)
target_include_directories(firmware PRIVATE c/examples)
target_link_libraries(firmware PRIVATE thumbnet)
target_link_options(firmware PRIVATE -nostartfiles -L${CMAKE_SOURCE_DIR}/c/examples/qemu -Tmps2-an386.ld)
";

#[test]
fn cmake_zephyr_and_esp_idf_take_the_library_of_the_core() {
    if !has("cmake", "`apt-get install cmake`") || !is_ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    wrapped(folder.path());
    let configure = |text: &str, options: &[&str]| {
        let _ = fs::remove_dir_all(folder.path().join("build"));
        fs::write(folder.path().join("CMakeLists.txt"), text).unwrap();
        let cmake = Command::new("cmake")
            .current_dir(folder.path())
            .args(["-S", ".", "-B", "build"])
            .args(options)
            .output();
        cmake.unwrap()
    };
    for (text, options, library) in [
        (
            ESP_IDF,
            &["-DIDF_TARGET=esp32c6"][..],
            "riscv32imac-unknown-none-elf",
        ),
        (
            ZEPHYR,
            &["-DCONFIG_CPU_CORTEX_M0PLUS=y"],
            "thumbv6m-none-eabi",
        ),
        (ZEPHYR, &["-DCONFIG_CPU_CORTEX_M4=y"], "thumbv7em-none-eabi"),
        (
            ZEPHYR,
            &["-DCONFIG_CPU_CORTEX_M4=y", "-DCONFIG_FP_HARDABI=y"],
            "thumbv7em-none-eabihf",
        ),
        (
            ZEPHYR,
            &["-DCONFIG_RISCV=y", "-DCONFIG_RISCV_ISA_EXT_A=y"],
            "riscv32imac-unknown-none-elf",
        ),
    ] {
        let said = succeed(configure(text, options));
        assert!(
            said.contains(&format!("/lib/{library}/libthumbnet.a")),
            "{options:?}: {said}"
        );
    }
    for (text, option, reason) in [
        (
            ESP_IDF,
            "-DIDF_TARGET=esp32s3",
            "the target is 'esp32s3', expected",
        ),
        (
            ZEPHYR,
            "-DCONFIG_CPU_CORTEX_M3=y",
            "has no library in this folder",
        ),
        (
            FIRMWARE,
            "-DTHUMBNET_CORE=m3",
            "THUMBNET_CORE is 'm3', expected",
        ),
    ] {
        let output = configure(text, &[option, "-DCMAKE_C_COMPILER_WORKS=1"]);
        assert!(!output.status.success(), "{option}");
        // CMake breaks lines where it likes.
        let said = String::from_utf8_lossy(&output.stderr)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(said.contains(reason), "{said}");
    }
    succeed(configure(
        FIRMWARE,
        &[
            "-DTHUMBNET_CORE=m4",
            "-DCMAKE_SYSTEM_NAME=Generic",
            "-DCMAKE_C_COMPILER=arm-none-eabi-gcc",
            "-DCMAKE_C_FLAGS=-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard",
            "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
        ],
    ));
    let build = Command::new("cmake")
        .current_dir(folder.path())
        .args(["--build", "build"])
        .output();
    succeed(build.unwrap());
    assert!(folder.path().join("build/firmware").is_file());
}

/// What the script of `library.json` reads of PlatformIO.
const PLATFORMIO: &str = "\
import sys
class Env(dict):
    def Flatten(self, values): return [value for part in values for value in part]
    def BoardConfig(self): return {'build.mcu': sys.argv[1], 'build.cpu': sys.argv[2]}
    def Dir(self, path): return self
    def srcnode(self): return self
    def get_abspath(self): return '.'
    def Append(self, LIBPATH, LIBS): print(LIBPATH[0].replace(chr(92), '/'), LIBS[0])
env = Env(CCFLAGS=sys.argv[3:])
Import = lambda name: None
exec(open('platformio.py').read())
";

#[test]
fn platformio_takes_the_library_of_the_core() {
    if !has("python3", "`apt-get install python3`") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    wrapped(folder.path());
    let c = folder.path().join("c");
    fs::write(c.join("run.py"), PLATFORMIO).unwrap();
    let script = |arguments: &[&str]| {
        Command::new("python3")
            .current_dir(&c)
            .arg("run.py")
            .args(arguments)
            .output()
            .unwrap()
    };
    for (arguments, library) in [
        (
            &["stm32f411ret6", "cortex-m4", "-mfloat-abi=hard"][..],
            "cortex-m4/fpv4-sp-d16-hard",
        ),
        (
            &["nrf52840", "cortex-m4", "-mfloat-abi=softfp"],
            "cortex-m4",
        ),
        (&["samd21g18a", "cortex-m0plus"], "cortex-m0plus"),
        (&["imxrt1062", "cortex-m7", "-mfloat-abi=hard"], "imxrt1062"),
        (
            &["", "", "-mcpu=cortex-m7", "-mfloat-abi=hard"],
            "cortex-m7/fpv4-sp-d16-hard",
        ),
        (&["esp32c6", ""], "esp32c6"),
    ] {
        assert_eq!(
            succeed(script(arguments)),
            format!("./src/{library} thumbnet\n")
        );
    }
    let refused = script(&["atmega328p", ""]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("no library for this board, expected a core among cortex-m0, "),
        "{said}"
    );
}
