//! `thumbnet export --emit c`: the folder's own example, compiled by its Makefile without warnings, gives the
//! bits of this machine on emulated cores.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectSymbol as _};
use thumbnet_boards::{
    Board, Qemu,
    parity::{Answer, Job, Row},
};
use thumbnet_runtime::{Activation, Verdict, encode_verdict};
use thumbnet_tests::{
    command::thumbnet,
    cost::packing,
    random_model::{Kind, RandomModel, chain},
};

/// Whether this machine has a compiler for C, and the emulator; says what is missing.
pub fn is_ready() -> bool {
    for program in ["arm-none-eabi-g++", "make"] {
        let found = Command::new(program).arg("--version").output();
        if !found.is_ok_and(|output| output.status.success()) {
            eprintln!(
                "skipped: {program} was not found; get it with `apt-get install make gcc-arm-none-eabi \
                 libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib`"
            );
            return false;
        }
    }
    match Qemu::find() {
        Ok(_) => true,
        Err(error) => {
            assert!(
                std::env::var_os("THUMBNET_REQUIRE_QEMU").is_none(),
                "{error}"
            );
            eprintln!("skipped: {error}");
            false
        }
    }
}

/// The model's folder for C, with its rows in the example.
fn emitted(folder: &Path, model: &RandomModel, core: &str) {
    fs::write(folder.join("m.tnet"), &model.blob).unwrap();
    let line = ["export", "m.tnet", "--emit", "c", "c", "--libraries", core];
    let said = thumbnet(folder, line).ok();
    assert!(said.starts_with("saved c: "), "{said}");
    let rows: Vec<String> = model
        .x
        .chunks(model.inputs)
        .map(|row| {
            format!(
                "{{{}}}",
                row.iter()
                    .map(|x| format!("{x:e}F"))
                    .collect::<Vec<_>>()
                    .join(",")
            )
        })
        .collect();
    let text = format!(
        "#include \"model.h\"\n#define ROW_COUNT {}U\n\
         static const float rows[ROW_COUNT][MODEL_INPUTS] = {{{}}};\n",
        rows.len(),
        rows.join(",")
    );
    fs::write(folder.join("c/examples/rows.h"), text).unwrap();
}

/// What the host computes of the model's rows.
fn on_host(model: &RandomModel) -> Vec<Row> {
    let job = Job {
        blob: &model.blob,
        shift: 0,
        inputs: model.inputs,
        x: &model.x,
    };
    let Answer::Loaded { rows, .. } = job.on_host() else {
        panic!("a sound model")
    };
    rows.into_iter()
        .map(|row| row.expect("finite rows"))
        .collect()
}

/// What the example prints: bits, class and label of each row.
pub fn expected(model: &RandomModel) -> String {
    let mut text = String::new();
    for row in on_host(model) {
        for bits in row.outputs {
            write!(text, "{bits:08x} ").unwrap();
        }
        writeln!(text, "{} {}", row.class, row.label).unwrap();
    }
    text
}

#[test]
fn the_examples_give_the_bits_of_the_host() {
    if !is_ready() {
        return;
    }
    for board in [Board::Microbit, Board::Mps2An386, Board::Mps3An547] {
        for (widths, last) in [
            ([4, 8, 3], Activation::Softmax),
            ([9, 14, 1], Activation::Sigmoid),
        ] {
            let model = chain(&widths, Kind::Int8, packing(board), last, 6);
            let folder = tempfile::tempdir().unwrap();
            let core = board.core().short;
            emitted(folder.path(), &model, core);
            for source in ["c", "cpp"] {
                let output = Command::new("make")
                    .current_dir(folder.path().join("c"))
                    .args(["--silent", "run"])
                    .args([format!("CORE={core}"), format!("SOURCE={source}")])
                    .output()
                    .unwrap();
                assert_eq!(
                    String::from_utf8_lossy(&output.stdout),
                    "",
                    "{core} {source}"
                );
                // Where QEMU writes what comes by semihosting; a warning of a compiler would be there too.
                assert_eq!(
                    String::from_utf8_lossy(&output.stderr),
                    expected(&model),
                    "{core} {source}"
                );
                assert!(output.status.success());
            }
            no_panic_is_left(&folder.path().join("c/lib"));
        }
    }
}

#[test]
fn anomalies_are_detected_with_the_bits_of_the_host() {
    if !is_ready() {
        return;
    }
    for board in [Board::Microbit, Board::Mps2An386] {
        let mut model = chain(
            &[4, 6, 4],
            Kind::Int8,
            packing(board),
            Activation::Linear,
            20,
        );
        let plain = model.blob.clone();
        let mut set = |above| {
            let verdict = Verdict::Anomaly {
                above,
                means: &[0.5, -1.0, 0.1, 2.0],
                factors: &[1.0, 0.3, 2.0, 0.7],
            };
            model.blob = vec![0; plain.len() + 256];
            let length = encode_verdict(&plain, &verdict, &mut model.blob).unwrap();
            model.blob.truncate(length);
            on_host(&model)
        };
        let mut scores: Vec<f32> = set(0.0)
            .iter()
            .map(|row| f32::from_bits(row.anomaly_score))
            .collect();
        scores.sort_by(f32::total_cmp);
        let rows = set(scores[9]);
        let mut text = String::new();
        let mut anomalies = 0;
        for row in rows {
            for bits in row.outputs {
                write!(text, "{bits:08x} ").unwrap();
            }
            let verdict = if row.anomaly { "anomaly" } else { "normal" };
            writeln!(text, "{:08x} {verdict}", row.anomaly_score).unwrap();
            anomalies += usize::from(row.anomaly);
        }
        assert_eq!(anomalies, 10);
        let folder = tempfile::tempdir().unwrap();
        let core = board.core().short;
        emitted(folder.path(), &model, core);
        let output = Command::new("make")
            .current_dir(folder.path().join("c"))
            .args(["--silent", "run", "EXAMPLE=detect"])
            .arg(format!("CORE={core}"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), text, "{core}");
        assert!(output.status.success());
    }
}

/// No library of the folder can panic, or calls what is not in it but for arithmetic and memory.
fn no_panic_is_left(lib: &Path) {
    let mut libraries = 0;
    for entry in fs::read_dir(lib).unwrap() {
        let bytes = fs::read(entry.unwrap().path().join("libthumbnet.a")).unwrap();
        let archive = ArchiveFile::parse(&*bytes).unwrap();
        for member in archive.members() {
            let member = member.unwrap();
            let own = member.name().starts_with(b"thumbnet");
            let Ok(file) = object::File::parse(member.data(&*bytes).unwrap()) else {
                continue;
            };
            for symbol in file.symbols() {
                let name = symbol.name().unwrap_or_default();
                for word in ["panic", "unwind", "Unwind", "eh_personality"] {
                    assert!(!name.contains(word), "{name}");
                }
                let memory = ["memcpy", "memset", "memcmp"].contains(&name);
                if own && symbol.is_undefined() && !name.is_empty() && !memory {
                    assert!(name.starts_with("__aeabi_"), "{name}");
                }
            }
        }
        libraries += 1;
    }
    assert!(libraries > 0);
}

/// A model for M4, and `m.tnet` of it in the folder.
pub fn exported(folder: &Path) -> RandomModel {
    let model = chain(
        &[4, 8, 3],
        Kind::Int8,
        packing(Board::Mps2An386),
        Activation::Softmax,
        1,
    );
    fs::write(folder.join("m.tnet"), &model.blob).unwrap();
    model
}

#[test]
fn wrong_calls_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let model = exported(path);
    fs::write(path.join("file"), "kept").unwrap();
    let error = |line: &str| thumbnet(path, line.split(' ')).error(2);
    assert_eq!(
        error("export m.tnet --emit cc c"),
        "--emit \"cc\" is no form, expected c FOLDER, rust FILE.rs or header FILE.h"
    );
    assert_eq!(
        error("export m.tnet --emit c file"),
        "file is a file, expected a folder for --emit c; give it another name"
    );
    assert_eq!(
        error("export m.tnet --emit rust m.rs --core m0"),
        "m.tnet is exported already, and --core is for Keras files (.h5 or .keras); leave it out"
    );
    assert_eq!(
        error("export m.tnet --emit header m.tnet"),
        "--emit would overwrite m.tnet of MODEL; give --emit another name"
    );
    assert_eq!(fs::read(path.join("file")).unwrap(), b"kept");
    assert_eq!(fs::read(path.join("m.tnet")).unwrap(), model.blob);
}

/// `header` and `rust` hold the blob's bytes, and the numbers of its model.
#[test]
fn bytes_and_numbers_are_in_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let model = exported(path);
    for (form, file, inputs) in [
        ("header", "m.h", "#define MODEL_INPUTS 4U\n"),
        ("rust", "m.rs", "pub const INPUTS: usize = 4;\n"),
    ] {
        thumbnet(path, ["export", "m.tnet", "--emit", form, file]).ok();
        let text = fs::read_to_string(path.join(file)).unwrap();
        assert!(text.contains(inputs), "{text}");
        let bytes: Vec<u8> = text
            .split([' ', '\n'])
            .filter_map(|word| word.strip_prefix("0x")?.strip_suffix(','))
            .map(|digits| u8::from_str_radix(digits, 16).unwrap())
            .collect();
        assert_eq!(bytes, model.blob);
    }
}

/// The header by the rules of MISRA, where cppcheck is installed; 2.4 and 2.5
/// count a tag, which the enumeration has not got, and macros that a file does not use.
#[test]
fn the_header_is_clean_by_misra() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thumbnet.h"), thumbnet_c_header()).unwrap();
    fs::write(folder.path().join("a.c"), "#include \"thumbnet.h\"\n").unwrap();
    let output = Command::new("cppcheck")
        .current_dir(folder.path())
        .args([
            "--addon=misra",
            "--std=c99",
            "--enable=style,warning",
            "--quiet",
        ])
        .args([
            "--suppress=misra-c2012-2.4",
            "--suppress=misra-c2012-2.5",
            "a.c",
        ])
        .output();
    match output {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stderr), ""),
        Err(error) => eprintln!(
            "skipped: cppcheck was not found ({error}); get it with `apt-get install cppcheck`"
        ),
    }
}

fn thumbnet_c_header() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/c/include/thumbnet.h");
    fs::read_to_string(path).unwrap()
}
