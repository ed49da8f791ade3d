//! A firmware crate for a model on a board, from templates.

mod features;
mod framework;
mod names;
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
};

use minijinja::{Environment, Value, context, syntax::SyntaxConfig};
use thumbnet_boards::{FlashReads, Hardware, Memory, Start};
use thumbnet_runtime::cores::Core;
use thumbnet_trainer::{Error, atomic_file, quantize::DeviceModel};

use super::{Failure, Outcome};

pub use features::features;
pub use framework::Framework;
pub use names::package;
pub use source::Source;

/// Inputs that get a field each; more are an array.
const FIELDS: usize = 32;

/// What firmware is written for.
#[derive(Clone, Debug)]
pub struct Place {
    /// As `--board` or `--chip` names it.
    pub name: String,
    pub full_name: String,
    /// The chip, by probe-rs's name.
    pub chip: Option<String>,
    pub core: &'static Core,
    pub flash: Memory,
    pub ram: Memory,
    /// Highest clock in Hz, 0 where it is not known.
    pub clock: u32,
    pub reads: Option<FlashReads>,
    probe: String,
    machine: Option<&'static str>,
    start: Start,
    source: String,
}

impl Place {
    pub fn board(board: &Hardware) -> Self {
        Self {
            name: board.name.to_string(),
            full_name: board.full_name.to_string(),
            chip: board.chip.map(str::to_string),
            core: board.core(),
            flash: board.flash,
            ram: board.ram,
            clock: board.clock,
            reads: board.reads,
            probe: board.probe.to_string(),
            machine: board.machine,
            start: board.start,
            source: board.source.to_string(),
        }
    }

    /// A chip that is no row of the table.
    pub fn chip(chip: &str, core: &'static Core, flash: Memory, ram: Memory) -> Self {
        let is = |start| chip.to_ascii_lowercase().starts_with(start);
        Self {
            name: chip.to_string(),
            full_name: chip.to_string(),
            chip: Some(chip.to_string()),
            core,
            flash,
            ram,
            clock: 0,
            reads: None,
            probe: "any".to_string(),
            machine: None,
            start: match () {
                () if is("rp2040") => Start::Boot2,
                () if is("rp235") => Start::ImageDef,
                () if is("esp32") => Start::Esp,
                () => Start::Plain,
            },
            source: "as given to `thumbnet new`".to_string(),
        }
    }

    /// Refuses a board that no firmware is written for.
    ///
    /// # Errors
    ///
    /// Such a board, with the reason.
    pub fn check(&self) -> Outcome {
        match self.start {
            Start::Other(why) => Err(Failure::usage(format!(
                "no firmware is written for {}: {why}",
                self.name
            ))),
            _ => Ok(()),
        }
    }

    /// Whether its core counts cycles by the DWT unit.
    pub fn counts_cycles(&self) -> bool {
        !self.is_riscv() && !matches!(self.core.short, "m0" | "m23")
    }

    /// Whether the crate esp-hal starts it.
    pub fn is_of_espressif(&self) -> bool {
        self.start == Start::Esp
    }

    /// Whether its core is RISC-V, else Arm.
    pub fn is_riscv(&self) -> bool {
        self.core.short.starts_with("rv32")
    }

    fn note(&self) -> Option<&'static str> {
        match self.name.as_str() {
            "arduino-nano-33-ble" => Some(
                "The program lies behind the board's bootloader, which starts it and stays as it is. The pads for a \
                 debug probe are on the back of the board.",
            ),
            "uno-r4" | "portenta-h7" => Some(
                "The program lies behind the board's bootloader, which starts it and stays as it is.",
            ),
            _ => None,
        }
    }
}

/// The samples that a program begins with.
#[derive(Clone, Debug)]
pub struct Samples {
    /// Names of the inputs, or none.
    pub names: Vec<String>,
    pub rows: Vec<Vec<f32>>,
    /// What they are, in a sentence.
    pub origin: String,
}

/// What a program does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Program {
    /// Logs classes and scores of the samples, for people.
    Samples,
    /// The same, by tasks.
    Tasks(Framework),
    /// Logs the bits of all outputs of the rows in `rows.bin`, and the cycles of each by the core's counter.
    Rows { cycles: bool },
}

/// A crate to be written.
pub struct Firmware<'a> {
    /// The package.
    pub name: String,
    pub place: &'a Place,
    pub device: &'a DeviceModel,
    pub samples: &'a Samples,
    pub source: &'a Source,
    pub program: Program,
}

impl Firmware<'_> {
    /// The files of the crate, by their paths in the folder that it is written to; all but the model.
    fn files(&self, folder: &Path) -> Vec<(PathBuf, String)> {
        let context = self.context(folder);
        let environment = environment();
        let render = |template: &str| {
            let rendered = environment.render_str(template, &context);
            rendered.expect("the templates are rendered for every board by a test")
        };
        let templates = [
            ("Cargo.toml", include_str!("templates/Cargo.toml.jinja")),
            (
                ".cargo/config.toml",
                include_str!("templates/config.toml.jinja"),
            ),
            (".gitignore", "/target\n"),
            ("README.md", include_str!("templates/README.md.jinja")),
            ("build.rs", include_str!("templates/build.rs.jinja")),
            ("memory.x", include_str!("templates/memory.x.jinja")),
            ("src/board.rs", include_str!("templates/board.rs.jinja")),
            (
                "src/main.rs",
                match self.program {
                    Program::Samples => include_str!("templates/main.rs.jinja"),
                    Program::Tasks(Framework::Embassy) => {
                        include_str!("templates/embassy.rs.jinja")
                    }
                    Program::Tasks(Framework::Rtic) => include_str!("templates/rtic.rs.jinja"),
                    Program::Rows { .. } => include_str!("templates/rows.rs.jinja"),
                },
            ),
        ];
        templates
            .into_iter()
            // The crate esp-hal has one of its own.
            .filter(|(path, _)| *path != "memory.x" || self.place.start != Start::Esp)
            .map(|(path, template)| (PathBuf::from(path), render(template)))
            .collect()
    }

    /// Writes the crate and its model into an absolute folder.
    ///
    /// # Errors
    ///
    /// Files that cannot be written.
    pub fn write(&self, folder: &Path) -> Outcome {
        for (path, text) in self.files(folder) {
            let path = folder.join(path);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
            atomic_file::write_bytes(&path, text.as_bytes())?;
        }
        self.device.save(folder.join("model.tnet"))?;
        Ok(())
    }

    fn context(&self, folder: &Path) -> Value {
        let place = self.place;
        let target = &place.core.targets[0];
        let model = self.device.model();
        let rows: Vec<Vec<String>> = self
            .samples
            .rows
            .iter()
            .map(|row| row.iter().map(|value| format!("{value:?}")).collect())
            .collect();
        let fields = match self.samples.names.len() == model.inputs() && model.inputs() <= FIELDS {
            true => names::fields(&self.samples.names),
            false => Vec::new(),
        };
        let mut wanted = features(self.device, target);
        wanted.insert(0, "defmt");
        let wanted: Vec<String> = wanted
            .iter()
            .map(|feature| format!("{feature:?}"))
            .collect();
        context! {
            name => format!("{:?}", self.name),
            title => &self.name,
            board => &place.name,
            full_name => &place.full_name,
            chip => &place.chip,
            probe => place.chip.as_ref().map(|_| &place.probe),
            core => place.core.short,
            triple => target.triple,
            cpu => target.cpu,
            riscv => place.is_riscv(),
            machine => place.machine,
            start => match place.start {
                Start::Boot2 => "boot2",
                Start::ImageDef => "image-def",
                Start::Esp => "esp",
                Start::Plain | Start::Other(_) => "plain",
            },
            clock => place.clock / 1_000_000,
            source => &place.source,
            note => place.note(),
            flash_origin => format!("{:#010x}", place.flash.origin),
            flash_length => length(place.flash),
            ram_origin => format!("{:#010x}", place.ram.origin),
            ram_length => length(place.ram),
            runtime => self.source.dependency("runtime", folder),
            build => self.source.dependency("runtime/build", folder),
            features => wanted.join(", "),
            fields,
            rows,
            framework => match self.program {
                Program::Tasks(Framework::Embassy) => "embassy",
                Program::Tasks(Framework::Rtic) => "rtic",
                Program::Samples | Program::Rows { .. } => "",
            },
            rtic => match self.program {
                Program::Tasks(framework) => framework.rtic(place).map(|rtic| {
                    context! {
                        dependency => rtic.dependency,
                        device => rtic.device,
                        dispatchers => rtic.dispatchers,
                    }
                }),
                Program::Samples | Program::Rows { .. } => None,
            },
            cycles => self.program == Program::Rows { cycles: true },
            origin => &self.samples.origin,
            labels => !self.device.labels().is_empty(),
            binary => model.threshold().is_some() && model.outputs() == 1,
        }
    }
}

/// As linkers read it.
fn length(memory: Memory) -> String {
    match memory.length % 1024 {
        0 => format!("{}K", memory.length / 1024),
        _ => memory.length.to_string(),
    }
}

/// Templates of text, not of web pages: lines of tags leave nothing behind.
pub fn environment() -> Environment<'static> {
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    let mut environment = Environment::new();
    environment.set_syntax(syntax.expect("the usual signs"));
    for (name, text) in [
        ("samples.rs", include_str!("templates/samples.rs.jinja")),
        ("answer.rs", include_str!("templates/answer.rs.jinja")),
    ] {
        let added = environment.add_template(name, text);
        added.expect("the templates are rendered for every board by a test");
    }
    environment
}
