//! The one folder the demonstration writes to: made private, removed at the end.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};

pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> io::Result<Folder> {
        let mut random = [0; 4];
        SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
        let name = format!("portcullis-demo-{:08x}", u32::from_be_bytes(random));
        let path = std::path::absolute(std::env::temp_dir().join(name))?;
        // Fails where something of that name is there: it would be somebody else's.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Folder(path);
        for inner in ["rules.d", "spool"] {
            fs::create_dir(folder.path(inner))?;
        }
        Ok(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.path(name), text)
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: {} is left behind: {error}", self.0.display());
        }
    }
}
