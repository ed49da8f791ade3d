//! The boards, a row each. Of Espressif's, what the crate esp-hal leaves for a program counts. Memory and clock are those of the documents named in the rows, chips and their memory
//! maps those of probe-rs, and a bootloader's part of the flash that of the maker's own linker scripts.

use crate::hardware::{FlashReads, Hardware, Memory, Start};

const K: u32 = 1 << 10;
const M: u32 = 1 << 20;
const MHZ: u32 = 1_000_000;
const fn at(origin: u32, length: u32) -> Memory {
    Memory { origin, length }
}

const fn known(line: u32, waits: u32, cache: u32, source: &'static str) -> Option<FlashReads> {
    Some(FlashReads {
        line,
        waits,
        cache,
        source,
    })
}

/// Emulated boards first, then by maker.
pub static BOARDS: [Hardware; 31] = [
    Hardware {
        name: "mps2-an385",
        full_name: "Arm MPS2 with image AN385",
        alias: "",
        chip: None,
        core: "m3",
        flash: at(0x0000_0000, 4 * M),
        ram: at(0x2000_0000, 4 * M),
        clock: 25 * MHZ,
        reads: None,
        probe: "none",
        machine: Some("mps2-an385"),
        start: Start::Plain,
        source: "Arm DAI 0385 (Application Note AN385)",
    },
    Hardware {
        name: "mps2-an386",
        full_name: "Arm MPS2 with image AN386",
        alias: "",
        chip: None,
        core: "m4",
        flash: at(0x0000_0000, 4 * M),
        ram: at(0x2000_0000, 4 * M),
        clock: 25 * MHZ,
        reads: None,
        probe: "none",
        machine: Some("mps2-an386"),
        start: Start::Plain,
        source: "Arm DAI 0386 (Application Note AN386)",
    },
    Hardware {
        name: "mps2-an500",
        full_name: "Arm MPS2 with image AN500",
        alias: "",
        chip: None,
        core: "m7",
        flash: at(0x0000_0000, 4 * M),
        ram: at(0x2000_0000, 4 * M),
        clock: 25 * MHZ,
        reads: None,
        probe: "none",
        machine: Some("mps2-an500"),
        start: Start::Plain,
        source: "Arm DAI 0500 (Application Note AN500)",
    },
    Hardware {
        name: "mps2-an505",
        full_name: "Arm MPS2 with image AN505, secure addresses",
        alias: "",
        chip: None,
        core: "m33",
        flash: at(0x1000_0000, 4 * M),
        ram: at(0x3800_0000, 4 * M),
        clock: 20 * MHZ,
        reads: None,
        probe: "none",
        machine: Some("mps2-an505"),
        start: Start::Plain,
        source: "Arm DAI 0505 (Application Note AN505)",
    },
    Hardware {
        name: "mps3-an547",
        full_name: "Arm MPS3 with image AN547, secure addresses",
        alias: "",
        chip: None,
        core: "m55",
        flash: at(0x0000_0000, 512 * K),
        ram: at(0x3100_0000, 2 * M),
        clock: 32 * MHZ,
        reads: None,
        probe: "none",
        machine: Some("mps3-an547"),
        start: Start::Plain,
        source: "Arm DAI 0547 (Application Note AN547)",
    },
    Hardware {
        name: "riscv32-virt",
        full_name: "QEMU's generic RISC-V machine",
        alias: "",
        chip: None,
        core: "rv32imac",
        flash: at(0x8000_0000, 2 * M),
        ram: at(0x8020_0000, 2 * M),
        clock: 0,
        reads: None,
        probe: "none",
        machine: Some("virt"),
        start: Start::Plain,
        source: "https://www.qemu.org/docs/master/system/riscv/virt.html",
    },
    Hardware {
        name: "nucleo-f401re",
        full_name: "ST Nucleo-64 NUCLEO-F401RE",
        alias: "",
        chip: Some("STM32F401RETx"),
        core: "m4",
        flash: at(0x0800_0000, 512 * K),
        ram: at(0x2000_0000, 96 * K),
        clock: 84 * MHZ,
        reads: known(16, 2, 0, "RM0368, 3.4"),
        probe: "ST-LINK",
        machine: Some("netduinoplus2"),
        start: Start::Plain,
        source: "DS10086, https://www.st.com/resource/en/datasheet/stm32f401re.pdf",
    },
    Hardware {
        name: "nucleo-f411re",
        full_name: "ST Nucleo-64 NUCLEO-F411RE",
        alias: "",
        chip: Some("STM32F411RETx"),
        core: "m4",
        flash: at(0x0800_0000, 512 * K),
        ram: at(0x2000_0000, 128 * K),
        clock: 100 * MHZ,
        reads: known(16, 3, 0, "RM0383, 3.4"),
        probe: "ST-LINK",
        machine: Some("netduinoplus2"),
        start: Start::Plain,
        source: "DS10314, https://www.st.com/resource/en/datasheet/stm32f411re.pdf",
    },
    Hardware {
        name: "nucleo-f446re",
        full_name: "ST Nucleo-64 NUCLEO-F446RE",
        alias: "",
        chip: Some("STM32F446RETx"),
        core: "m4",
        flash: at(0x0800_0000, 512 * K),
        ram: at(0x2000_0000, 128 * K),
        clock: 180 * MHZ,
        reads: known(16, 5, 0, "RM0390, 3.4"),
        probe: "ST-LINK",
        machine: Some("netduinoplus2"),
        start: Start::Plain,
        source: "DS10693, https://www.st.com/resource/en/datasheet/stm32f446re.pdf",
    },
    Hardware {
        name: "nucleo-h743zi",
        full_name: "ST Nucleo-144 NUCLEO-H743ZI",
        alias: "nucleo-h743zi2",
        chip: Some("STM32H743ZITx"),
        core: "m7",
        flash: at(0x0800_0000, 2 * M),
        ram: at(0x2400_0000, 512 * K),
        clock: 480 * MHZ,
        reads: None,
        probe: "ST-LINK",
        machine: None,
        start: Start::Plain,
        source: "DS12110, https://www.st.com/resource/en/datasheet/stm32h743zi.pdf",
    },
    Hardware {
        name: "nucleo-l476rg",
        full_name: "ST Nucleo-64 NUCLEO-L476RG",
        alias: "",
        chip: Some("STM32L476RGTx"),
        core: "m4",
        flash: at(0x0800_0000, M),
        ram: at(0x2000_0000, 96 * K),
        clock: 80 * MHZ,
        reads: known(8, 4, 0, "RM0351, 3.3"),
        probe: "ST-LINK",
        machine: Some("netduinoplus2"),
        start: Start::Plain,
        source: "DS10198, https://www.st.com/resource/en/datasheet/stm32l476rg.pdf",
    },
    Hardware {
        name: "nucleo-g071rb",
        full_name: "ST Nucleo-64 NUCLEO-G071RB",
        alias: "",
        chip: Some("STM32G071RBTx"),
        core: "m0",
        flash: at(0x0800_0000, 128 * K),
        ram: at(0x2000_0000, 36 * K),
        clock: 64 * MHZ,
        reads: known(4, 2, 0, "RM0444, 3.3"),
        probe: "ST-LINK",
        machine: None,
        start: Start::Plain,
        source: "DS12232, https://www.st.com/resource/en/datasheet/stm32g071rb.pdf",
    },
    Hardware {
        name: "nucleo-g0b1re",
        full_name: "ST Nucleo-64 NUCLEO-G0B1RE",
        alias: "",
        chip: Some("STM32G0B1RETx"),
        core: "m0",
        flash: at(0x0800_0000, 512 * K),
        ram: at(0x2000_0000, 144 * K),
        clock: 64 * MHZ,
        reads: known(4, 2, 0, "RM0444, 3.3"),
        probe: "ST-LINK",
        machine: None,
        start: Start::Plain,
        source: "DS13560, https://www.st.com/resource/en/datasheet/stm32g0b1re.pdf",
    },
    Hardware {
        name: "nucleo-u575zi-q",
        full_name: "ST Nucleo-144 NUCLEO-U575ZI-Q",
        alias: "nucleo-u575zi",
        chip: Some("STM32U575ZITxQ"),
        core: "m33",
        flash: at(0x0800_0000, 2 * M),
        ram: at(0x2000_0000, 768 * K),
        clock: 160 * MHZ,
        reads: None,
        probe: "ST-LINK",
        machine: None,
        start: Start::Plain,
        source: "DS13737, https://www.st.com/resource/en/datasheet/stm32u575zi.pdf",
    },
    Hardware {
        name: "stm32f3discovery",
        full_name: "ST STM32F3DISCOVERY",
        alias: "",
        chip: Some("STM32F303VCTx"),
        core: "m4",
        flash: at(0x0800_0000, 256 * K),
        ram: at(0x2000_0000, 40 * K),
        clock: 72 * MHZ,
        reads: known(4, 2, 0, "RM0316, 4.2"),
        probe: "ST-LINK",
        machine: Some("netduinoplus2"),
        start: Start::Plain,
        source: "DS9118, https://www.st.com/resource/en/datasheet/stm32f303vc.pdf",
    },
    Hardware {
        name: "bluepill",
        full_name: "Blue Pill with STM32F103C8",
        alias: "blue-pill",
        chip: Some("STM32F103C8"),
        core: "m3",
        flash: at(0x0800_0000, 64 * K),
        ram: at(0x2000_0000, 20 * K),
        clock: 72 * MHZ,
        reads: known(4, 2, 0, "RM0008, 3.3"),
        probe: "any, by SWD",
        machine: Some("netduino2"),
        start: Start::Plain,
        source: "DS5319, https://www.st.com/resource/en/datasheet/stm32f103c8.pdf",
    },
    Hardware {
        name: "nrf52840-dk",
        full_name: "Nordic nRF52840 DK",
        alias: "",
        chip: Some("nRF52840_xxAA"),
        core: "m4",
        flash: at(0x0000_0000, M),
        ram: at(0x2000_0000, 256 * K),
        clock: 64 * MHZ,
        reads: None,
        probe: "J-Link",
        machine: Some("mps2-an386"),
        start: Start::Plain,
        source: "nRF52840 Product Specification, https://docs.nordicsemi.com",
    },
    Hardware {
        name: "nrf52-dk",
        full_name: "Nordic nRF52 DK",
        alias: "",
        chip: Some("nRF52832_xxAA"),
        core: "m4",
        flash: at(0x0000_0000, 512 * K),
        ram: at(0x2000_0000, 64 * K),
        clock: 64 * MHZ,
        reads: None,
        probe: "J-Link",
        machine: Some("mps2-an386"),
        start: Start::Plain,
        source: "nRF52832 Product Specification, https://docs.nordicsemi.com",
    },
    Hardware {
        name: "nrf5340-dk",
        full_name: "Nordic nRF5340 DK, application core",
        alias: "",
        chip: Some("nRF5340_xxAA"),
        core: "m33",
        flash: at(0x0000_0000, M),
        ram: at(0x2000_0000, 512 * K),
        clock: 128 * MHZ,
        reads: None,
        probe: "J-Link",
        machine: None,
        start: Start::Plain,
        source: "nRF5340 Product Specification, https://docs.nordicsemi.com",
    },
    Hardware {
        name: "nrf54l15-dk",
        full_name: "Nordic nRF54L15 DK",
        alias: "",
        chip: Some("nRF54L15"),
        core: "m33",
        flash: at(0x0000_0000, 1524 * K),
        ram: at(0x2000_0000, 256 * K),
        clock: 128 * MHZ,
        reads: None,
        probe: "J-Link",
        machine: None,
        start: Start::Plain,
        source: "nRF54L15 Datasheet, https://docs.nordicsemi.com",
    },
    Hardware {
        name: "microbit-v1",
        full_name: "BBC micro:bit V1",
        alias: "microbit",
        chip: Some("nRF51822_xxAA"),
        core: "m0",
        flash: at(0x0000_0000, 256 * K),
        ram: at(0x2000_0000, 16 * K),
        clock: 16 * MHZ,
        reads: None,
        probe: "DAPLink",
        machine: Some("microbit"),
        start: Start::Plain,
        source: "https://tech.microbit.org/hardware/1-5-revision/",
    },
    Hardware {
        name: "microbit-v2",
        full_name: "BBC micro:bit V2",
        alias: "",
        chip: Some("nRF52833_xxAA"),
        core: "m4",
        flash: at(0x0000_0000, 512 * K),
        ram: at(0x2000_0000, 128 * K),
        clock: 64 * MHZ,
        reads: None,
        probe: "DAPLink",
        machine: Some("mps2-an386"),
        start: Start::Plain,
        source: "https://tech.microbit.org/hardware/",
    },
    Hardware {
        name: "pico",
        full_name: "Raspberry Pi Pico",
        alias: "",
        chip: Some("RP2040"),
        core: "m0",
        flash: at(0x1000_0000, 2 * M),
        ram: at(0x2000_0000, 264 * K),
        clock: 133 * MHZ,
        reads: known(
            8,
            56,
            16 * K,
            "RP2040 datasheet, 2.6.3, and W25Q16JV: 28 clocks of the flash for 8 bytes, two of the core each",
        ),
        probe: "any, by SWD",
        machine: None,
        start: Start::Boot2,
        source: "https://datasheets.raspberrypi.com/pico/pico-datasheet.pdf",
    },
    Hardware {
        name: "pico2",
        full_name: "Raspberry Pi Pico 2",
        alias: "",
        chip: Some("RP235x"),
        core: "m33",
        flash: at(0x1000_0000, 4 * M),
        ram: at(0x2000_0000, 520 * K),
        clock: 150 * MHZ,
        reads: None,
        probe: "any, by SWD",
        machine: None,
        start: Start::ImageDef,
        source: "https://datasheets.raspberrypi.com/pico/pico-2-datasheet.pdf",
    },
    Hardware {
        name: "arduino-nano-33-ble",
        full_name: "Arduino Nano 33 BLE, behind its bootloader",
        alias: "nano-33-ble",
        chip: Some("nRF52840_xxAA"),
        core: "m4",
        flash: at(0x0001_0000, 960 * K),
        ram: at(0x2000_0000, 256 * K),
        clock: 64 * MHZ,
        reads: None,
        probe: "any, by SWD",
        machine: None,
        start: Start::Plain,
        source: "ABX00030, https://docs.arduino.cc/hardware/nano-33-ble",
    },
    Hardware {
        name: "uno-r4",
        full_name: "Arduino UNO R4 Minima and WiFi, behind their bootloader",
        alias: "arduino-uno-r4",
        chip: Some("R7FA4M1AB"),
        core: "m4",
        flash: at(0x0000_4000, 240 * K),
        ram: at(0x2000_0000, 32 * K),
        clock: 48 * MHZ,
        reads: None,
        probe: "any, by SWD",
        machine: None,
        start: Start::Plain,
        source: "ABX00080, https://docs.arduino.cc/hardware/uno-r4-minima",
    },
    Hardware {
        name: "portenta-h7",
        full_name: "Arduino Portenta H7, Cortex-M7, behind its bootloader",
        alias: "arduino-portenta-h7",
        chip: Some("STM32H747XIHx"),
        core: "m7",
        flash: at(0x0804_0000, 768 * K),
        ram: at(0x2400_0000, 512 * K),
        clock: 480 * MHZ,
        reads: None,
        probe: "any, by SWD",
        machine: None,
        start: Start::Plain,
        source: "ABX00042, https://docs.arduino.cc/hardware/portenta-h7",
    },
    Hardware {
        name: "teensy-4.0",
        full_name: "PJRC Teensy 4.0",
        alias: "teensy40",
        chip: Some("MIMXRT1060"),
        core: "m7",
        flash: at(0x6000_0000, 1984 * K),
        ram: at(0x2020_0000, 512 * K),
        clock: 600 * MHZ,
        reads: None,
        probe: "none: no SWD",
        machine: None,
        start: Start::Other(
            "its chip boots by a block of data for the flash that `thumbnet new` does not write, and has no pins for a debug probe to log by; add the model to a project of the crate teensy4-bsp by `thumbnet-build`",
        ),
        source: "https://www.pjrc.com/store/teensy40.html",
    },
    Hardware {
        name: "esp32-c3-devkitm-1",
        full_name: "Espressif ESP32-C3-DevKitM-1",
        alias: "esp32-c3",
        chip: Some("esp32c3"),
        core: "rv32imc",
        flash: at(0x4200_0000, 4 * M - 64 * K),
        ram: at(0x3FC8_0000, 313 * K),
        clock: 160 * MHZ,
        reads: None,
        probe: "USB-JTAG",
        machine: None,
        start: Start::Esp,
        source: "ESP32-C3 Series Datasheet, https://www.espressif.com",
    },
    Hardware {
        name: "esp32-c6-devkitc-1",
        full_name: "Espressif ESP32-C6-DevKitC-1",
        alias: "esp32-c6",
        chip: Some("esp32c6"),
        core: "rv32imac",
        flash: at(0x4200_0000, 4 * M - 64 * K),
        ram: at(0x4080_0000, 0x6_E610),
        clock: 160 * MHZ,
        reads: None,
        probe: "USB-JTAG",
        machine: None,
        start: Start::Esp,
        source: "ESP32-C6 Series Datasheet, https://www.espressif.com",
    },
    Hardware {
        name: "ch32v307v-evt",
        full_name: "WCH CH32V307V-EVT-R1",
        alias: "ch32v",
        chip: Some("CH32V307VCT6"),
        core: "rv32imafc",
        flash: at(0x0800_0000, 256 * K),
        ram: at(0x2000_0000, 64 * K),
        clock: 144 * MHZ,
        reads: None,
        probe: "WCH-Link",
        machine: None,
        start: Start::Plain,
        source: "CH32V20x_30xDS0, https://www.wch-ic.com/products/CH32V307.html",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Board;

    #[test]
    fn every_row_has_a_core_and_a_name_of_its_own() {
        let mut names = Vec::new();
        for board in &BOARDS {
            board.core();
            assert_eq!(Hardware::named(&board.name.to_uppercase()).unwrap(), board);
            names.extend([board.name, board.alias]);
            assert!(board.flash.length >= 64 * K && board.ram.length >= 16 * K);
            let end = |memory: Memory| u64::from(memory.origin) + u64::from(memory.length);
            let apart = end(board.flash) <= board.ram.origin.into()
                || end(board.ram) <= board.flash.origin.into();
            assert!(apart, "{}", board.name);
            assert_eq!(
                board.chip.is_none(),
                board.probe == "none",
                "{}",
                board.name
            );
        }
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_board_of_the_emulator_is_a_row() {
        for board in Board::ALL {
            let row = Hardware::named(board.machine()).unwrap();
            assert_eq!(
                (row.machine, row.core()),
                (Some(board.machine()), board.core())
            );
        }
    }

    #[test]
    fn a_board_without_a_machine_is_emulated_by_one_of_its_core() {
        let emulated = |name| {
            Hardware::named(name)
                .unwrap()
                .emulated()
                .map(|board| board.name)
        };
        assert_eq!(emulated("nucleo-f411re"), Some("nucleo-f411re"));
        assert_eq!(emulated("pico"), Some("microbit-v1"));
        assert_eq!(emulated("nrf5340-dk"), Some("mps2-an505"));
        assert_eq!(emulated("esp32-c6"), Some("riscv32-virt"));
    }

    #[test]
    fn an_unknown_board_is_told_all_there_are() {
        let error = Hardware::named("").unwrap_err().to_string();
        assert!(error.starts_with("board \"\" is unknown, expected one of mps2-an385, "));
        assert!(error.ends_with(", ch32v307v-evt, or a chip by --chip where a command takes one"));
    }
}
