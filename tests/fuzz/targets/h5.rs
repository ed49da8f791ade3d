#![no_main]

thumbnet_fuzz::target!("h5");
