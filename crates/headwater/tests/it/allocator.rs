//! The allocator's settings: they stand in the binary, and the allocator finds them there.

use std::process::Command;

use crate::server::BINARY;

#[test]
fn the_allocator_has_the_settings_of_the_binary() {
    let mut command = Command::new(BINARY);
    let told = command.arg("--version").env("_RJEM_MALLOC_CONF", "confirm_conf:true").output().unwrap();
    let told = String::from_utf8(told.stderr).unwrap();
    for wanted in ["percpu_arena:percpu", "background_thread:true", "dirty_decay_ms:500"] {
        assert!(told.contains(wanted), "{wanted} is not in {told}");
    }
    assert!(!told.contains("Invalid conf"), "{told}");
}
