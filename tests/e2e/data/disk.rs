//! A small disk that can be full.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A tmpfs at a folder; unmounted at the end.
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// A new one, of so many kilobytes.
    pub fn of(at: PathBuf, kilobytes: u32) -> Self {
        fs::create_dir_all(&at).expect("a folder");
        let size = format!("size={kilobytes}k,mode=0700");
        let done =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "hive-test"]).arg(&at).output();
        let done = done.expect("mount starts");
        assert!(
            done.status.success(),
            "a small tmpfs is needed to try a full disk, and mount says: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Self(at)
    }

    /// Gives it another size.
    pub fn resize(&self, kilobytes: u32) {
        let size = format!("remount,size={kilobytes}k");
        let done = Command::new("mount").args(["-o", &size]).arg(&self.0).output().expect("mount");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Kilobytes in use.
    pub fn used(&self) -> u32 {
        let stat = rustix::fs::statvfs(&self.0).expect("stat");
        u32::try_from((stat.f_blocks - stat.f_bfree) * stat.f_frsize / 1024).expect("small")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
