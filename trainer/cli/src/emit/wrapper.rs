//! Files for other build systems around the folder for C.

use std::path::PathBuf;

use clap::ValueEnum;
use minijinja::{Value, context};
use thumbnet_boards::library::Library;
use thumbnet_runtime::cores::{Float, Target};

use super::{super::firmware::environment, c::Built, literals, project::core_name};

/// A build system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wrapper {
    /// `CMakeLists.txt`: the target `thumbnet`
    Cmake,
    /// A library for Arduino and PlatformIO, with an example
    Arduino,
    /// A module for Zephyr
    Zephyr,
    /// A component for ESP-IDF
    EspIdf,
    /// The description of a CMSIS-Pack
    CmsisPack,
}

/// What build systems call the cores of a library.
struct Names {
    library: &'static str,
    /// Arduino's `{build.mcu}`, and for floats in the FPU's registers `{build.mcu}/{build.fpu}-{build.float-abi}`.
    arduino: &'static [&'static str],
    /// `IDF_TARGET`.
    esp: &'static [&'static str],
    /// `Dcore`.
    pack: &'static [&'static str],
    /// Symbols of Kconfig; none where Zephyr has no such core.
    zephyr: &'static str,
}

const NAMES: &[Names] = &[
    Names {
        library: "thumbv6m-none-eabi",
        arduino: &["cortex-m0", "cortex-m0plus"],
        esp: &[],
        pack: &["Cortex-M0", "Cortex-M0+", "Cortex-M1"],
        zephyr: "CONFIG_CPU_CORTEX_M0 OR CONFIG_CPU_CORTEX_M0PLUS OR CONFIG_CPU_CORTEX_M1",
    },
    Names {
        library: "thumbv8m.base-none-eabi",
        arduino: &["cortex-m23"],
        esp: &[],
        pack: &["Cortex-M23"],
        zephyr: "CONFIG_CPU_CORTEX_M23",
    },
    Names {
        library: "thumbv7m-none-eabi",
        arduino: &["cortex-m3"],
        esp: &[],
        pack: &["Cortex-M3"],
        zephyr: "CONFIG_CPU_CORTEX_M3",
    },
    Names {
        library: "thumbv7em-none-eabihf",
        arduino: &[
            "cortex-m4/fpv4-sp-d16-hard",
            "cortex-m7/fpv4-sp-d16-hard",
            "cortex-m7/fpv5-sp-d16-hard",
            "cortex-m7/fpv5-d16-hard",
            // Teensy 4.
            "imxrt1062",
        ],
        esp: &[],
        pack: &["Cortex-M4", "Cortex-M7"],
        zephyr: "CONFIG_FP_HARDABI AND (CONFIG_CPU_CORTEX_M4 OR CONFIG_CPU_CORTEX_M7)",
    },
    Names {
        library: "thumbv7em-none-eabi",
        arduino: &["cortex-m4", "cortex-m7"],
        esp: &[],
        pack: &["Cortex-M4", "Cortex-M7"],
        zephyr: "NOT CONFIG_FP_HARDABI AND (CONFIG_CPU_CORTEX_M4 OR CONFIG_CPU_CORTEX_M7)",
    },
    Names {
        library: "thumbv8m.main-none-eabihf-cortex-m33",
        arduino: &["cortex-m33/fpv4-sp-d16-hard", "cortex-m33/fpv5-sp-d16-hard"],
        esp: &[],
        pack: &["Cortex-M33", "Cortex-M35P"],
        zephyr: "CONFIG_FP_HARDABI AND CONFIG_CPU_CORTEX_M33",
    },
    Names {
        library: "thumbv8m.main-none-eabi",
        arduino: &["cortex-m33"],
        esp: &[],
        pack: &[
            "Cortex-M33",
            "Cortex-M35P",
            "Cortex-M52",
            "Cortex-M55",
            "Cortex-M85",
        ],
        zephyr: "NOT CONFIG_FP_HARDABI AND (CONFIG_CPU_CORTEX_M33 OR CONFIG_CPU_CORTEX_M55 OR CONFIG_CPU_CORTEX_M85)",
    },
    Names {
        library: "thumbv8m.main-none-eabihf-cortex-m55",
        arduino: &[],
        esp: &[],
        pack: &["Cortex-M52", "Cortex-M55", "Cortex-M85"],
        zephyr: "CONFIG_FP_HARDABI AND (CONFIG_CPU_CORTEX_M55 OR CONFIG_CPU_CORTEX_M85)",
    },
    Names {
        library: "riscv32imc-unknown-none-elf",
        arduino: &["esp32c2", "esp32c3"],
        esp: &["esp32c2", "esp32c3"],
        pack: &[],
        zephyr: "CONFIG_RISCV AND NOT CONFIG_64BIT AND NOT CONFIG_FLOAT_HARD AND NOT CONFIG_RISCV_ISA_EXT_A",
    },
    Names {
        library: "riscv32imac-unknown-none-elf",
        arduino: &["esp32c5", "esp32c6", "esp32c61", "esp32h2"],
        esp: &["esp32c5", "esp32c6", "esp32c61", "esp32h2"],
        pack: &[],
        zephyr: "CONFIG_RISCV AND NOT CONFIG_64BIT AND NOT CONFIG_FLOAT_HARD AND CONFIG_RISCV_ISA_EXT_A",
    },
    Names {
        library: "riscv32imafc-unknown-none-elf",
        arduino: &["esp32p4"],
        esp: &["esp32p4"],
        pack: &[],
        zephyr: "CONFIG_RISCV AND NOT CONFIG_64BIT AND CONFIG_FLOAT_HARD AND NOT CONFIG_CPU_HAS_FPU_DOUBLE_PRECISION",
    },
];

impl Names {
    fn of(target: &Target) -> &'static Self {
        let library = Library::name(target);
        let found = NAMES.iter().find(|names| names.library == library);
        found.expect("a test looks that every library has a row")
    }
}

/// Takes a template of this folder, by its name.
macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("templates/", $name))
    };
}

impl Wrapper {
    /// Its files, by their path in the folder, and their text. `from` is the model's file, `rows` the text of `rows.h`.
    pub fn files(
        self,
        all: &[Self],
        built: &[Built],
        from: &str,
        rows: &str,
    ) -> Vec<(PathBuf, String)> {
        let context = context(all, built, from);
        let environment = environment();
        let render = |template| {
            let rendered = environment.render_str(template, &context);
            rendered.expect("the templates are rendered by a test")
        };
        let files = match self {
            Self::Cmake => vec![("CMakeLists.txt", render(template!("CMakeLists.txt.jinja")))],
            Self::EspIdf => vec![
                ("CMakeLists.txt", render(template!("CMakeLists.txt.jinja"))),
                (
                    "idf_component.yml",
                    render(template!("idf_component.yml.jinja")),
                ),
            ],
            Self::Zephyr => vec![
                (
                    "zephyr/module.yml",
                    render(template!("zephyr/module.yml.jinja")),
                ),
                ("zephyr/Kconfig", render(template!("zephyr/Kconfig.jinja"))),
                (
                    "zephyr/CMakeLists.txt",
                    render(template!("zephyr/CMakeLists.txt.jinja")),
                ),
            ],
            Self::CmsisPack => vec![(
                "thumbnet.model.pdsc",
                render(template!("thumbnet.model.pdsc.jinja")),
            )],
            Self::Arduino => vec![
                (
                    "library.properties",
                    render(template!("library.properties.jinja")),
                ),
                ("library.json", render(template!("library.json.jinja"))),
                ("platformio.py", template!("platformio.py").to_string()),
                // Both compile what is in `src`, and nothing else.
                ("src/thumbnet.h", "#include \"../thumbnet.h\"\n".to_string()),
                ("src/model.h", "#include \"../model.h\"\n".to_string()),
                ("src/model.c", "#include \"../model.c\"\n".to_string()),
                (
                    "examples/classify/classify.ino",
                    template!("classify.ino").to_string(),
                ),
                ("examples/classify/rows.h", rows.to_string()),
            ],
        };
        files
            .into_iter()
            .map(|(path, text)| (path.into(), text))
            .collect()
    }

    /// Folders beside `lib` in which the build system looks for a target's library.
    pub fn folders(self, target: &Target) -> Vec<PathBuf> {
        match self {
            Self::Arduino => {
                let folders = Names::of(target).arduino.iter();
                folders
                    .map(|folder| PathBuf::from("src").join(folder))
                    .collect()
            }
            Self::Cmake | Self::Zephyr | Self::EspIdf | Self::CmsisPack => Vec::new(),
        }
    }
}

/// What the templates are filled with.
fn context(all: &[Wrapper], built: &[Built], from: &str) -> Value {
    let libraries: Vec<Value> = built
        .iter()
        .map(|library| {
            let names = Names::of(library.target);
            context! {
                name => names.library,
                core => core_name(library.target).0,
                esp => names.esp.to_vec(),
                pack => names.pack.to_vec(),
                fpu => match library.target.float {
                    Float::Soft => vec!["NO_FPU"],
                    Float::Hard => vec!["FPU", "SP_FPU", "DP_FPU"],
                },
                zephyr => names.zephyr,
            }
        })
        .collect();
    let names: Vec<String> = built
        .iter()
        .map(|library| Library::name(library.target))
        .collect();
    let esp: Vec<&str> = built
        .iter()
        .flat_map(|library| Names::of(library.target).esp)
        .copied()
        .collect();
    let sentence = format!("The neural network of {}", literals::comment(from));
    context! {
        libraries,
        names => names.join(", "),
        esp => all.contains(&Wrapper::EspIdf),
        esp_targets => esp.join(", "),
        // JSON, which YAML reads, too.
        quoted => serde_json::Value::from(sentence.as_str()).to_string(),
        sentence,
        version => env!("CARGO_PKG_VERSION"),
        license => env!("CARGO_PKG_LICENSE"),
        url => env!("CARGO_PKG_REPOSITORY"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_has_names_of_its_own() {
        let targets = Library::targets();
        assert_eq!(targets.len(), NAMES.len());
        for target in targets {
            assert_eq!(Names::of(target).library, Library::name(target));
        }
        let mut folders: Vec<&str> = NAMES
            .iter()
            .flat_map(|names| names.arduino)
            .copied()
            .collect();
        folders.sort_unstable();
        let count = folders.len();
        folders.dedup();
        assert_eq!(folders.len(), count, "{folders:?}");
    }
}
