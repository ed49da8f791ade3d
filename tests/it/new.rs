//! `thumbnet new`: crates for boards, built for their targets, and in QEMU with the bits of this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use object::{Object as _, ObjectSection as _};
use serde_json::Value;
use thumbnet_boards::{BOARDS, Hardware, Memory, Qemu, Start};
use thumbnet_tests::{
    command::{self, thumbnet},
    iris::{TRAIN, folder, run},
};

/// The repository that this test was built from.
fn clone() -> PathBuf {
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    clone.canonicalize().unwrap()
}

/// The boards to build for: those of `THUMBNET_BOARDS`, names with commas between or `all`, as `tests/run --all`
/// sets it, else some that stand for the others.
fn boards(sample: &[&str]) -> Vec<&'static Hardware> {
    let given = env::var("THUMBNET_BOARDS").ok();
    let chosen = |board: &&Hardware| match &given {
        None => sample.contains(&board.name),
        Some(names) => names == "all" || names.split(',').any(|name| name == board.name),
    };
    let written = |board: &&Hardware| !matches!(board.start, Start::Other(_));
    BOARDS.iter().filter(written).filter(chosen).collect()
}

/// A folder with the `thumbnet` under test in it, which firmware finds as its runner.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
        fs::create_dir_all(&folder).unwrap();
        let link = folder.join(format!("thumbnet{}", env::consts::EXE_SUFFIX));
        let _ = fs::remove_file(&link);
        fs::hard_link(command::binary(), &link).unwrap();
        folder
    })
}

/// Runs cargo in the folder of a firmware, as a user does, with the versions of this workspace. What is
/// compiled for one board is there for the others.
fn cargo(firmware: &Path, arguments: &[&str]) -> Output {
    let lock = firmware.join("Cargo.lock");
    if !lock.exists() {
        fs::copy(clone().join("Cargo.lock"), lock).unwrap();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = env::split_paths(&path);
    let paths = [programs().to_path_buf()].into_iter().chain(paths);
    Command::new("cargo")
        .current_dir(firmware)
        .args(arguments)
        .arg("--quiet")
        .env("PATH", env::join_paths(paths).unwrap())
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("firmware"),
        )
        // Those of a surrounding build would replace the firmware's.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap()
}

/// The standard output of cargo; none where something that it takes is not on this machine, which
/// `THUMBNET_REQUIRE_QEMU` makes a failure.
fn built(output: &Output) -> Option<String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        assert!(!stderr.contains("warning"), "{stderr}");
        return Some(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let missing = [
        "target may not be installed",
        "failed to download",
        "Could not resolve",
        "was not found; get it",
    ];
    let missing = missing.iter().any(|reason| stderr.contains(reason));
    assert!(
        missing && env::var_os("THUMBNET_REQUIRE_QEMU").is_none(),
        "{stderr}"
    );
    eprintln!("skipped: {stderr}");
    None
}

/// A crate of the folder's `iris` model for a board, and its folder, called as the board.
fn written(folder: &Path, board: &Hardware) -> PathBuf {
    written_as(folder, board, "int8")
}

/// The same with other data types, in a folder called as them too.
fn written_as(folder: &Path, board: &Hardware, dtype: &str) -> PathBuf {
    let name = format!("fw-{}-{dtype}", board.name).replace(['.', ',', '=', '_'], "-");
    let clone = clone();
    thumbnet(
        folder,
        [
            "new",
            &name,
            "--model",
            "m.h5",
            "--calibrate",
            "iris.csv",
            "--board",
            board.name,
            "--path",
            &clone.display().to_string(),
            "--dtype",
            dtype,
        ],
    )
    .ok();
    folder.join(name)
}

/// Trained iris.
fn trained() -> tempfile::TempDir {
    let folder = folder();
    run(folder.path(), &format!("{TRAIN} --output m.h5")).ok();
    folder
}

/// The bits that are logged are those of `predict` for the same rows.
fn check_log(log: &str, firmware: &Path) {
    let predicted = run(firmware, "predict model.tnet --data ../iris.csv").ok();
    let mut lines = predicted.lines();
    let labels: Vec<&str> = lines.next().unwrap().split(',').collect();
    let float = |text: &str| text.trim().parse::<f32>().unwrap();
    let log: Vec<&str> = log.lines().collect();
    assert_eq!(log.len(), 3, "{log:?}");
    for (logged, predicted) in log.iter().zip(lines) {
        let expected: Vec<f32> = predicted.split(',').map(float).collect();
        let (class, outputs) = logged.split_once(", outputs [").unwrap();
        let outputs: Vec<f32> = outputs
            .trim_end_matches(']')
            .split(',')
            .map(float)
            .collect();
        let bits = |values: &[f32]| {
            values
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&outputs), bits(&expected), "{logged}");
        let (best, score) = expected
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .unwrap();
        assert_eq!(class, format!("INFO  {}, score {score:?}", labels[best]));
    }
}

#[test]
fn a_table_becomes_bits_on_the_emulated_board_in_three_commands() {
    let folder = trained();
    for board in boards(&["nucleo-f411re", "microbit-v1", "riscv32-virt"]) {
        if board.machine.is_none() {
            continue;
        }
        if let Err(error) = Qemu::find_for(board) {
            assert!(env::var_os("THUMBNET_REQUIRE_QEMU").is_none(), "{error}");
            eprintln!("skipped: {error}");
            continue;
        }
        let firmware = written(folder.path(), board);
        let Some(log) = built(&cargo(&firmware, &["run"])) else {
            continue;
        };
        check_log(&log, &firmware);

        // The same by a module of `--emit rust` in place of the build script's.
        run(&firmware, "export model.tnet --emit rust src/model.rs").ok();
        let main = firmware.join("src/main.rs");
        let program = fs::read_to_string(&main).unwrap();
        let program = program.replace("thumbnet_runtime::include_model!(model);", "mod model;");
        fs::write(&main, program).unwrap();
        let log = built(&cargo(&firmware, &["run"])).unwrap();
        check_log(&log, &firmware);
    }
}

/// What `inspect` says that firmware takes is not less than it takes, and not twice as much.
fn check_size(elf: &object::File, firmware: &Path, board: &Hardware) {
    let line = format!("inspect model.tnet --board {} --json", board.name);
    let said: Value = serde_json::from_str(&run(firmware, &line).ok()).unwrap();
    let said = |path: &str| said.pointer(path).and_then(Value::as_u64).unwrap();
    let bytes = |memory: Memory| -> u64 {
        let start = u64::from(memory.origin);
        let within = start..start + u64::from(memory.length);
        let sections = elf.sections();
        let sections = sections.filter(|section| within.contains(&section.address()));
        // Comments and debugging information are at address 0, too.
        let placed = sections.filter(|section| match section.flags() {
            object::SectionFlags::Elf { sh_flags } => sh_flags & 2 != 0,
            _ => false,
        });
        placed.map(|section| section.size()).sum()
    };
    let flash = bytes(board.flash);
    let limit = said("/board/flash/model") + said("/board/flash/code");
    assert!(
        (flash..2 * flash).contains(&limit),
        "{}: {flash} of {limit}",
        board.name
    );
    // RISC-V's section for the stack is all that is left.
    if !board.is_riscv() {
        assert!(bytes(board.ram) <= said("/board/ram/log"), "{}", board.name);
    }
}

#[test]
fn firmware_for_the_board_itself_is_built() {
    let folder = trained();
    for (board, dtype) in boards(&["nucleo-f411re", "pico"])
        .into_iter()
        .flat_map(|board| ["int8", "dense=int4,dense_1=float32"].map(|dtype| (board, dtype)))
    {
        let Some(_) = board.chip else { continue };
        let firmware = written_as(folder.path(), board, dtype);
        let line: &[&str] = match board.machine {
            Some(_) => &["build", "--release", "--no-default-features"],
            None => &["build", "--release"],
        };
        if built(&cargo(&firmware, line)).is_none() {
            continue;
        }
        let name = firmware.file_name().unwrap();
        let elf = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("firmware")
            .join(board.target().triple)
            .join("release")
            .join(name);
        let bytes = fs::read(&elf).unwrap();
        let elf = object::File::parse(&*bytes).unwrap();
        if board.start != Start::Esp {
            check_size(&elf, &firmware, board);
        }
        let address = |name: &str| elf.section_by_name(name).map(|section| section.address());
        let flash = u64::from(board.flash.origin);
        match board.start {
            Start::Plain if board.is_riscv() => assert_eq!(elf.entry(), flash),
            Start::Plain => assert_eq!(address(".vector_table"), Some(flash), "{}", board.name),
            Start::Boot2 => {
                let boot2 = elf.section_by_name(".boot2").unwrap();
                assert_eq!((boot2.address(), boot2.size()), (flash, 256));
                assert_eq!(address(".vector_table"), Some(flash + 256));
            }
            Start::ImageDef => {
                assert_eq!(address(".vector_table"), Some(flash));
                let block = elf.section_by_name(".start_block").unwrap();
                assert!(block.address() + block.size() <= flash + 4096);
                assert_eq!(block.data().unwrap()[..4], 0xffff_ded3_u32.to_le_bytes());
            }
            Start::Esp => assert!(address(".flash.appdesc").is_some()),
            Start::Other(_) => unreachable!("no firmware is written for it"),
        }
    }
}

/// The program on the runtime's front page, as it is written there.
#[test]
fn the_program_of_the_front_page_runs_on_the_emulated_board() {
    let page = fs::read_to_string(clone().join("runtime/README.md")).unwrap();
    let program = page.split("```rust,ignore\n").nth(1).unwrap();
    let program = program.split("```").next().unwrap();
    assert!(program.lines().count() <= 27, "{program}");
    let folder = trained();
    let firmware = written(folder.path(), Hardware::named("nucleo-f411re").unwrap());
    fs::write(firmware.join("src/main.rs"), program).unwrap();
    if let Some(log) = built(&cargo(&firmware, &["run"])) {
        assert_eq!(log, "INFO  setosa\n");
    }
}

/// Programs of tasks log the same as the others. One stands for all of them where nothing else is asked for.
#[test]
fn tasks_give_the_bits_of_the_host_on_the_emulated_board() {
    let folder = trained();
    let all = env::var_os("THUMBNET_BOARDS").is_some();
    for (framework, board) in [
        ("embassy", "nrf52840-dk"),
        ("embassy", "nucleo-f411re"),
        ("rtic", "nrf52840-dk"),
        ("rtic", "nucleo-f411re"),
    ] {
        let name = format!("{framework}-{board}");
        let line = format!(
            "new {name} --model m.h5 --calibrate iris.csv --board {board} --framework {framework} --path {}",
            clone().display()
        );
        run(folder.path(), &line).ok();
        let firmware = folder.path().join(name);
        let stands_for_all = (framework, board) == ("embassy", "nucleo-f411re");
        if !all && !stands_for_all {
            continue;
        }
        if let Some(log) = built(&cargo(&firmware, &["run"])) {
            check_log(&log, &firmware);
        }
        // For the board itself.
        built(&cargo(
            &firmware,
            &["build", "--release", "--no-default-features"],
        ));
    }
}

#[test]
fn every_board_gets_a_crate_with_its_own_figures() {
    let folder = trained();
    run(
        folder.path(),
        "export m.h5 --calibrate iris.csv --output m.tnet",
    )
    .ok();
    let listed = run(folder.path(), "boards --json").ok();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), BOARDS.len());
    for (row, board) in listed.iter().zip(&BOARDS) {
        assert_eq!(row["name"], board.name);
        let name = format!("fw-{}", board.name);
        let line = format!(
            "new {name} --model m.tnet --board {} --published",
            board.name
        );
        let finished = run(folder.path(), &line);
        if let Start::Other(why) = board.start {
            assert_eq!(
                finished.error(2),
                format!("no firmware is written for {}: {why}", board.name)
            );
            assert!(!folder.path().join(name).exists());
            continue;
        }
        finished.ok();
        let read = |file: &str| fs::read_to_string(folder.path().join(&name).join(file)).unwrap();
        for file in [
            "Cargo.toml",
            ".cargo/config.toml",
            "src/main.rs",
            "src/board.rs",
            "README.md",
        ] {
            let text = read(file);
            assert!(
                !text.contains("{%") && !text.contains("{{") && !text.contains("\n\n\n"),
                "{text}"
            );
        }
        let memory = folder.path().join(&name).join("memory.x");
        assert_eq!(memory.exists(), board.start != Start::Esp);
        assert!(
            board.start == Start::Esp
                || read("memory.x")
                    .contains(&format!("RAM   : ORIGIN = {:#010x}, ", board.ram.origin))
        );
        let config = read(".cargo/config.toml");
        assert!(config.contains(&format!("target = \"{}\"", board.target().triple)));
        let runner = match (board.machine, board.chip) {
            (Some(_), _) => format!("runner = \"thumbnet run --board {}\"", board.name),
            (None, chip) => format!("runner = \"probe-rs run --chip {}\"", chip.unwrap()),
        };
        assert!(config.contains(&runner), "{config}");
        let version = env!("CARGO_PKG_VERSION");
        assert!(
            read("Cargo.toml").contains(&format!("thumbnet-build = {{ version = \"{version}\" }}"))
        );
    }
}

#[test]
fn wrong_calls_of_new_say_what_to_do() {
    let folder = trained();
    let path = folder.path();
    let error = |line: &str| run(path, line).error(2);
    fs::create_dir(path.join("full")).unwrap();
    fs::write(path.join("full/kept"), "kept").unwrap();
    assert_eq!(
        error("new full --board pico --published"),
        "full is not empty, expected a folder that is not there yet; give another name"
    );
    assert_eq!(
        error("new iris.csv --board pico --published"),
        "iris.csv is no folder, expected a folder that is not there yet; give another name"
    );
    assert_eq!(
        error("new fw --model m.h5 --board pico --published"),
        "m.h5 is a Keras file, which is exported first; give it rows: --calibrate rows.csv"
    );
    assert_eq!(
        error("new fw --board pico --path full"),
        "full is no clone of thumbnet's repository, expected a folder with runtime/build in it"
    );
    assert_eq!(
        error("new fw --board pico"),
        format!(
            "this thumbnet was built from a clone, whose crates may not be published; say where the firmware takes them from: --path {}, --git URL, or --published",
            clone().display()
        )
    );
    assert_eq!(
        error("new fw --chip NOVEL --flash 64k --ram 8k --published"),
        "NOVEL is of no family whose core is known; name it, such as --core m4f"
    );
    assert_eq!(
        error("new fw --chip NOVEL --core m4f --flash 64k --ram 8k --published"),
        "--flash: \"64k\" is no memory, expected its size and the address where it begins, such as 512k@0x08000000"
    );
    assert_eq!(
        error("new fw --board pico --framework rtic --published"),
        "--framework rtic is for nucleo-f411re and nrf52840-dk, not pico; take --framework embassy, or leave it out"
    );
    assert_eq!(
        error("new fw --board esp32-c3 --framework embassy --published"),
        "--framework embassy is for Cortex-M, and esp32-c3-devkitm-1 is RV32IMC; leave it out"
    );
    assert!(
        run(path, "new fw --board picopico --published")
            .error(2)
            .starts_with("invalid value 'picopico' for '--board <NAME>': board \"picopico\" is unknown, expected one of mps2-an385, ")
    );
    assert!(!path.join("fw").exists());
    assert_eq!(fs::read(path.join("full/kept")).unwrap(), b"kept");

    // A chip that is no row, and a model that is arranged for another core.
    run(
        path,
        "export m.h5 --calibrate iris.csv --core m0+ --output m0.tnet",
    )
    .ok();
    let said = run(
        path,
        "new fw --model m0.tnet --chip STM32F407VGTx --flash 1M --ram 128k --published",
    );
    assert!(
        said.stderr.starts_with("note: m0.tnet is arranged for another core than Cortex-M4F: it runs, 20 to 135 times slower; export it anew: thumbnet export model.h5 --calibrate rows.csv --core m4 --output m0.tnet"),
        "{}",
        said.stderr
    );
    said.ok();
    let cargo = fs::read_to_string(path.join("fw/Cargo.toml")).unwrap();
    assert!(
        cargo.contains("features = [\"defmt\", \"portable\"]"),
        "{cargo}"
    );
    let memory = fs::read_to_string(path.join("fw/memory.x")).unwrap();
    assert!(
        memory.contains("FLASH : ORIGIN = 0x08000000, LENGTH = 1024K"),
        "{memory}"
    );
}
