//! Models that are signed, received by a device and replaced: by the command line, and on emulated boards whose power
//! goes in the middle.

use std::{fs, path::Path};

use thumbnet_boards::{Board, Firmware, Float, Qemu, Run};
use thumbnet_runtime::{Activation, Model};
use thumbnet_tests::{
    cost::packing,
    iris::{models, run},
    qemu::prepare,
    random_model::{Kind, chain},
    size::flash_bytes,
};
use thumbnet_update::sign;

/// The private key to the firmware's public one.
const SEED: [u8; 32] = [7; 32];

/// A blob for a board, and its outputs of halves there.
fn model(board: Board, hidden: usize) -> (Vec<u8>, String) {
    let widths = [8, hidden, 4];
    let model = chain(&widths, Kind::Int8, packing(board), Activation::Softmax, 1);
    let mut outputs = [0.0; 4];
    let loaded: Model = Model::from_bytes(&model.blob).unwrap();
    let mut scratch = vec![0; loaded.scratch_len()];
    loaded
        .predict(&[0.5; 8], &mut scratch, &mut outputs)
        .unwrap();
    let outputs = format!("outputs {:?}", outputs.map(f32::to_bits));
    (model.blob, outputs)
}

/// A device: the flash is a file between two runs.
struct Device<'a> {
    qemu: &'a Qemu,
    elf: &'a Path,
    board: Board,
    folder: &'a Path,
}

impl Device<'_> {
    /// Starts it, with a model to receive, until its power goes. Returns what it says.
    fn start(&self, send: Option<&[u8]>, cut: u32) -> Vec<String> {
        let at = |name: &str| self.folder.join(name);
        fs::write(at("request"), cut.to_le_bytes()).unwrap();
        let _ = fs::remove_file(at("model"));
        if let Some(signed) = send {
            fs::write(at("model"), signed).unwrap();
        }
        let memory = [("flash".into(), self.board.spare().0)];
        let run = Run {
            memory: &memory,
            count_instructions: true,
            ..Run::new(self.board, self.elf, self.folder)
        };
        let said = self
            .qemu
            .run(&run)
            .unwrap_or_else(|error| panic!("{error}"));
        let said = String::from_utf8(said).unwrap();
        said.lines().map(str::to_string).collect()
    }
}

/// The number behind a word.
fn number(said: &[String], word: &str) -> Option<u32> {
    said.iter()
        .find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
}

fn says(said: &[String], line: &str) {
    assert!(said.iter().any(|found| found == line), "{line}: {said:?}");
}

#[test]
fn a_device_receives_a_model_though_its_power_goes() {
    for board in [Board::Microbit, Board::Mps2An386] {
        let firmware = Firmware {
            profile: "size",
            features: "update,portable",
            ..Firmware::release("update", board)
        };
        let Some((qemu, elf)) = prepare(&firmware) else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let device = Device {
            qemu: &qemu,
            elf: &elf,
            board,
            folder: folder.path(),
        };
        let flash = folder.path().join("flash");
        // As it comes from the factory.
        fs::write(&flash, [0xFF; 64 << 10]).unwrap();
        let (first, first_outputs) = model(board, 16);
        let (second, second_outputs) = model(board, 160);
        let [first, second] = [(first, 1), (second, 2)]
            .map(|(blob, version)| sign(&blob, version, 0, &SEED).unwrap());

        let said = device.start(Some(&first), u32::MAX);
        says(&said, "runs nothing");
        says(&said, "from 0");
        says(&said, "received 1");
        let said = device.start(None, u32::MAX);
        says(&said, "runs 1 true");
        says(&said, &first_outputs);
        says(&said, "confirmed");
        let installed = fs::read(&flash).unwrap();

        // All of it without a cut, for the number of steps and the cost.
        let said = device.start(Some(&second), u32::MAX);
        says(&said, "runs 1 false");
        says(&said, "received 2");
        let steps = number(&said, "steps").unwrap();
        let instructions = |word| {
            let ticks = number(&said, word).unwrap();
            u64::from(ticks) * 1_000_000 / u64::from(number(&said, "million").unwrap())
        };
        println!(
            "{}: {} bytes; instructions: start {}, write {}, finish {}",
            board.core().name,
            second.len(),
            instructions("start"),
            instructions("write"),
            instructions("finish"),
        );

        // Through the journal, the header, the middle, the last words and the two records of the switch.
        let (mut resumed, mut switched) = (0, 0);
        for cut in [
            0,
            1,
            9,
            steps / 3,
            steps / 2,
            steps * 9 / 10,
            steps - 9,
            steps - 5,
            steps - 1,
        ] {
            fs::write(&flash, &installed).unwrap();
            says(&device.start(Some(&second), cut), "the power went");
            let mut said = device.start(None, u32::MAX);
            if said.contains(&"runs 1 false".to_string()) {
                says(&said, &first_outputs);
                let received = device.start(Some(&second), u32::MAX);
                says(&received, "received 2");
                resumed += u32::from(number(&received, "from").unwrap() > 0);
                said = device.start(None, u32::MAX);
            } else {
                switched += 1;
            }
            says(&said, "runs 2 true");
            says(&said, &second_outputs);
            says(&said, "confirmed");
            says(&device.start(None, u32::MAX), "runs 2 false");
        }
        // The last cut is in the second record.
        assert_eq!(switched, 1);
        assert!(resumed >= 4, "{resumed}");

        // Altered, and older.
        let mut altered = sign(&model(board, 160).0, 3, 0, &SEED).unwrap();
        altered[500] ^= 1;
        let said = device.start(Some(&altered), u32::MAX);
        says(
            &said,
            "refused: the signature is wrong: the model was altered, or signed by another key",
        );
        let said = device.start(Some(&first), u32::MAX);
        says(&said, "runs 2 false");
        says(
            &said,
            "refused: the model has version 1, expected 2 or newer; sign it with --version",
        );
        says(&device.start(None, u32::MAX), "runs 2 false");
    }
}

#[test]
fn an_updatable_model_costs_so_much_flash() {
    for (board, limit) in [(Board::Microbit, 27_000), (Board::Mps2An386, 25_000)] {
        let sizes = [("bare", ""), ("bare-update", "update")].map(|(binary, features)| {
            let firmware = Firmware {
                profile: "size",
                features,
                float: Float::Soft,
                ..Firmware::release(binary, board)
            };
            prepare(&firmware).map(|(_, elf)| flash_bytes(&fs::read(elf).unwrap()))
        });
        let [Some(without), Some(with)] = sizes else {
            return;
        };
        println!("{}: {} bytes", board.core().name, with - without);
        assert!(with - without < limit, "{}", with - without);
    }
}

#[test]
fn a_model_is_signed_and_verified() {
    let folder = models();
    let path = folder.path();
    let said = run(path, "keygen --output key").ok();
    assert!(
        said.starts_with("pub const MODEL_KEY: [u8; 32] = [0x"),
        "{said}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path.join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let (key, public) = (path.join("key"), path.join("key.pub"));
    let before = [fs::read(&key).unwrap(), fs::read(&public).unwrap()];
    assert_eq!(
        run(path, "keygen --output key").error(1),
        "key: this is there already, and keys are not overwritten; give --output another name"
    );
    run(path, "keygen --output other").ok();
    fs::remove_file(path.join("other")).unwrap();
    assert_eq!(
        run(path, "keygen --output other").error(1),
        "other.pub: this is there already, and keys are not overwritten; give --output another name"
    );
    assert!(before == [fs::read(&key).unwrap(), fs::read(&public).unwrap()]);

    let sign = "sign model.tnet --key key --version 3 --product 4 --output model.signed";
    let said = run(path, sign).ok();
    assert!(
        said.starts_with("saved model.signed: version 3, product 4, "),
        "{said}"
    );
    let verify = "verify model.signed --public-key key.pub";
    let said = run(path, verify).ok();
    assert!(
        said.starts_with(
            "model.signed: signed by the key of key.pub, version 3, product 4; a sound model of "
        ),
        "{said}"
    );
    // Header, blob, signature.
    let signed = fs::read(path.join("model.signed")).unwrap();
    let blob = fs::read(path.join("model.tnet")).unwrap();
    assert_eq!(signed[48..signed.len() - 64], blob);

    assert_eq!(
        run(path, "verify model.tnet --public-key key.pub").error(1),
        "model.tnet: this is no signed model; make one with thumbnet sign"
    );
    run(path, "keygen --output third").ok();
    let message = run(path, "verify model.signed --public-key third.pub").error(1);
    assert!(message.ends_with(", which is not known here"), "{message}");
    let mut altered = signed.clone();
    altered[100] ^= 1;
    fs::write(path.join("altered.signed"), &altered).unwrap();
    assert_eq!(
        run(path, "verify altered.signed --public-key key.pub").error(1),
        "altered.signed: the signature is wrong: the model was altered, or signed by another key"
    );
    assert_eq!(
        run(
            path,
            "sign model.tnet --key key.pub --version 1 --output n.signed"
        )
        .error(1),
        "key.pub: this is no private key, expected one that thumbnet keygen made, or Ed25519 in PKCS#8 (BEGIN PRIVATE KEY)"
    );
    assert_eq!(
        run(path, "verify model.signed --public-key key").error(1),
        "key: this is no public key, expected one that thumbnet keygen made, or Ed25519 as BEGIN PUBLIC KEY"
    );
    assert_eq!(
        run(path, "sign model.tnet --key key --version 1 --output key").error(2),
        "--output would overwrite key of --key; give --output another name"
    );
    assert!(!path.join("n.signed").exists());
}
