#![no_main]

thumbnet_fuzz::target!("keras");
