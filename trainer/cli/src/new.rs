//! `thumbnet new`: a firmware crate for a model and a board.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use ndarray::{ArrayD, Axis};
use thumbnet_boards::{Hardware, chips};
use thumbnet_runtime::{Operation, cores::Core};
use thumbnet_trainer::{
    Dataset, Error, Sequential, Signature, Task,
    figures::thousands,
    layers::{Dense, Input, Normalization},
    quantize::{DeviceModel, QuantizeOptions, quantize},
    training::FitOptions,
};

use super::{
    Failure, Outcome, console,
    data::ColumnArguments,
    export::{DataTypes, Export},
    firmware::{self, Firmware, Framework, Place, Program, Samples, Source},
    fit::Fit,
    models::{device_rows, is_device},
    values,
};

/// Rows that a program begins with, and the most values of them.
const ROWS: usize = 3;
const VALUES: usize = 1024;
/// Epochs that the bundled data are trained for.
const EPOCHS: usize = 60;

/// Write a complete firmware crate in Rust: model, memory, startup, log
#[derive(Debug, Args)]
#[command(
    after_help = "Example: thumbnet new fw --model model.h5 --calibrate iris.csv --board nucleo-f411re --published"
)]
pub struct New {
    /// Folder to write, which is made
    dir: PathBuf,
    /// Keras file (.h5, .keras), which is exported for the board with the rows of --calibrate, or device model
    /// (.tnet) [default: one is trained on the bundled iris data]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Rows to export a Keras file with, as for thumbnet export; the first ones are the program's samples
    #[arg(long, value_name = "FILE", requires = "model")]
    calibrate: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArguments,
    /// Arithmetic of a Keras file's layers, as for thumbnet export [default: int8]
    #[arg(long, value_name = "TYPE|LAYER=TYPE,..", requires = "model")]
    dtype: Option<DataTypes>,
    #[command(flatten)]
    place: PlaceArguments,
    /// Write a program of tasks
    #[arg(long, value_name = "NAME", value_enum)]
    framework: Option<Framework>,
    #[command(flatten)]
    source: SourceArguments,
}

/// Where the firmware runs.
#[derive(Debug, Args)]
pub struct PlaceArguments {
    /// Board, see thumbnet boards
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "chip",
        conflicts_with_all = ["chip", "flash", "ram", "core"],
        value_parser = values::board
    )]
    board: Option<&'static Hardware>,
    /// Any other chip by probe-rs's name, such as STM32F407VGTx; with --flash and --ram
    #[arg(long, value_name = "NAME", requires_all = ["flash", "ram"])]
    chip: Option<String>,
    /// Flash of --chip: its size, and its address where the chip's family does not tell
    #[arg(long, value_name = "SIZE[@ADDRESS]", requires = "chip")]
    flash: Option<String>,
    /// RAM of --chip: its size, and its address where that is not 0x20000000
    #[arg(long, value_name = "SIZE[@ADDRESS]", requires = "chip")]
    ram: Option<String>,
    /// Core of --chip, such as m4f [default: that of the chip's family]
    #[arg(long, value_name = "CORE", requires = "chip", value_parser = values::core)]
    core: Option<&'static Core>,
}

/// Where the firmware takes thumbnet's crates from.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct SourceArguments {
    /// Take thumbnet's crates from a clone of its repository
    #[arg(long, value_name = "CLONE")]
    path: Option<PathBuf>,
    /// Take thumbnet's crates from a repository
    #[arg(long, value_name = "URL")]
    git: Option<String>,
    /// Take thumbnet's published crates; the default of a thumbnet that was not built from a clone
    #[arg(long)]
    published: bool,
}

impl PlaceArguments {
    /// What the options say.
    ///
    /// # Errors
    ///
    /// A chip of an unknown family without its core or the begin of its flash.
    pub fn place(&self) -> Outcome<Place> {
        if let Some(board) = self.board {
            return Ok(Place::board(board));
        }
        let chip = self.chip.as_deref().unwrap_or_default();
        let core = match self.core {
            Some(core) => core,
            None => chips::core_of(chip).ok_or_else(|| {
                Failure::usage(format!(
                    "{chip} is of no family whose core is known; name it, such as --core m4f"
                ))
            })?,
        };
        let memory = |option: &str, text: &Option<String>, origin| {
            chips::memory(text.as_deref().unwrap_or_default(), origin)
                .map_err(|error| Failure::usage(format!("{option}: {error}")))
        };
        let flash = memory("--flash", &self.flash, chips::flash_origin(chip))?;
        let ram = memory("--ram", &self.ram, Some(0x2000_0000))?;
        Ok(Place::chip(chip, core, flash, ram))
    }
}

impl SourceArguments {
    pub fn source(&self) -> Outcome<Source> {
        Source::of(self.path.as_deref(), self.git.as_deref(), self.published)
    }
}

impl New {
    pub fn run(&self) -> Outcome {
        let place = self.place.place()?;
        place.check()?;
        if let Some(framework) = self.framework {
            framework.check(&place)?;
        }
        let source = self.source.source()?;
        check_free(&self.dir)?;
        let (device, samples) = self.model(&place)?;
        fs::create_dir_all(&self.dir).map_err(|error| Error::io(&self.dir, error))?;
        let folder = fs::canonicalize(&self.dir).map_err(|error| Error::io(&self.dir, error))?;
        let firmware = Firmware {
            name: firmware::package(&folder.file_name().unwrap_or_default().to_string_lossy()),
            place: &place,
            device: &device,
            samples: &samples,
            source: &source,
            program: self.framework.map_or(Program::Samples, Program::Tasks),
        };
        firmware.write(&folder)?;
        console::print(&format!(
            "saved {}: firmware for {} ({}), a model of {} bytes\nnext: cd {} && rustup target add {} && cargo run\n",
            self.dir.display(),
            place.full_name,
            place.core.name,
            thousands(device.bytes().len()),
            self.dir.display(),
            place.core.targets[0].triple,
        ))
    }

    /// The device model and the samples of the program.
    fn model(&self, place: &Place) -> Outcome<(DeviceModel, Samples)> {
        let core = place.core;
        let Some(path) = &self.model else {
            return bundled(core);
        };
        if !is_device(path)? {
            let Some(calibrate) = &self.calibrate else {
                return Err(Failure::usage(format!(
                    "{} is a Keras file, which is exported first; give it rows: --calibrate rows.csv",
                    path.display()
                )));
            };
            let export = Export::for_core(
                path.clone(),
                calibrate.clone(),
                self.columns.clone(),
                self.dtype.clone(),
                core,
            );
            let exported = export.quantized()?;
            let device = exported.quantized.device;
            export.check_fit(&device, place)?;
            let samples = samples(&exported.rows.x, exported.columns, calibrate);
            return Ok((device, samples));
        }
        if self.dtype.is_some() {
            return Err(Failure::usage(format!(
                "{} is exported already, and --dtype is for Keras files (.h5 or .keras); leave it out",
                path.display()
            )));
        }
        let device = DeviceModel::load(path)?;
        let fit = Fit::of(&device, place);
        if !fit.fits() {
            return Err(Error::value(fit.refusal(None)).into());
        }
        self.say_arrangement(&device, path, core);
        let names = device.input_names();
        let samples = match &self.calibrate {
            None => Samples {
                names,
                rows: vec![vec![0.0; device.inputs()]],
                origin: "A sample to begin with.".to_string(),
            },
            Some(rows_path) => {
                let rows = device_rows(&device, path, rows_path, &self.columns)?;
                let names = Some(names).filter(|names| !names.is_empty());
                samples(
                    &rows.x,
                    names.unwrap_or_else(|| rows.feature_names.clone()),
                    rows_path,
                )
            }
        };
        Ok((device, samples))
    }

    /// Says that a model is arranged for another core.
    fn say_arrangement(&self, device: &DeviceModel, path: &Path, core: &Core) {
        let foreign = device.model().layers().any(|layer| {
            layer.macs > 0
                && layer.operation.of_a_row() != Operation::DenseFloat
                && layer.packing != core.targets[0].packing
        });
        if foreign {
            console::note(&format!(
                "note: {} is arranged for another core than {}: it runs, 20 to 135 times slower; export it anew: thumbnet export model.h5 --calibrate rows.csv --core {} --output {}",
                path.display(),
                core.name,
                core.short,
                path.display()
            ));
        }
    }
}

/// Refuses a folder that has something in it.
fn check_free(dir: &Path) -> Outcome {
    let refused = |what: &str| {
        Failure::usage(format!(
            "{} {what}, expected a folder that is not there yet; give another name",
            dir.display()
        ))
    };
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(refused("is not empty")),
        },
        Err(_) if dir.exists() => Err(refused("is no folder")),
        Err(_) => Ok(()),
    }
}

/// The first rows of a file.
fn samples(x: &ArrayD<f32>, names: Vec<String>, path: &Path) -> Samples {
    let width = x.shape().iter().skip(1).product::<usize>().max(1);
    let rows: Vec<Vec<f32>> = x
        .axis_iter(Axis(0))
        .take(ROWS.min(VALUES / width).max(1))
        .map(|row| row.iter().copied().collect())
        .collect();
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    Samples {
        names,
        // A comment of one line.
        origin: format!("The first rows of {:?}.", file),
        rows,
    }
}

/// A model of the bundled iris data.
fn bundled(core: &'static Core) -> Outcome<(DeviceModel, Samples)> {
    let iris = Dataset::iris().shuffled(7);
    let y = iris.y.as_ref().expect("iris has labels");
    let mut normalization = Normalization::new();
    normalization.adapt(&iris.x)?;
    let mut model = Sequential::new().with_seed(7);
    model.add(Input::new([4]))?;
    model.add(normalization)?;
    model.add(Dense::new(16).with_activation("relu"))?;
    model.add(Dense::new(3).with_activation("softmax"))?;
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    model.fit(
        &iris.x,
        y,
        FitOptions {
            epochs: EPOCHS,
            batch_size: Some(8),
            verbose: 0,
            ..FitOptions::default()
        },
    )?;
    let names = ["setosa", "versicolor", "virginica"];
    let signature = Signature::new(Task::MultiClass)
        .with_features(iris.feature_names.clone())
        .with_classes(names.map(str::to_string));
    model.set_signature(Some(signature))?;
    let options = QuantizeOptions {
        packing: core.packing,
        labels: names.map(str::to_string).to_vec(),
        ..QuantizeOptions::default()
    };
    let device = quantize(&model, &iris.x, &options)?.device;
    let path = Path::new("the bundled iris data");
    let samples = samples(&iris.x, iris.feature_names.clone(), path);
    Ok((device, samples))
}
