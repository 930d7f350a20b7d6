//! Where bodies wait: a little memory each, then a file without a name, both with a limit over all
//! sessions.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Files of ours carry this prefix for the moment in which they have a name.
const PREFIX: &str = "portcullis-spool-";
/// The first piece of memory of a body, and the largest one.
const SMALL: usize = 4 << 10;
const LARGE: usize = 64 << 10;

#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// Private to this process, or one that everybody may make files in, such as /tmp; created with
    /// mode 0700 if it is not there.
    pub dir: PathBuf,
    /// Octets of a body that stay in memory; 256 KiB is usual.
    pub memory_per_message: u64,
    /// Octets of memory over all messages, headers included. Bodies may use three quarters of it
    /// and then go to files; the rest is for headers, which have no other place.
    pub memory_total: u64,
    /// Octets of files over all messages.
    pub disk_total: u64,
}

/// The space that all messages share.
#[derive(Debug)]
pub struct SpoolSpace {
    config: SpoolConfig,
    memory: AtomicU64,
    disk: AtomicU64,
    serial: AtomicU64,
}

#[derive(Debug)]
pub enum SpoolError {
    /// The space of all messages is used up: `452 4.3.1`.
    Full,
    Io(io::Error),
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        SpoolError::Io(error)
    }
}

impl std::fmt::Display for SpoolError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SpoolError::Full => f.write_str("the spool is full"),
            SpoolError::Io(error) => write!(f, "spool file: {error}"),
        }
    }
}

impl std::error::Error for SpoolError {}

impl SpoolSpace {
    /// Makes the directory if need be, and removes what a killed process may have left in it. Call
    /// it as the user that receives mail.
    pub fn new(config: SpoolConfig) -> io::Result<Arc<Self>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&config.dir)?;
        let mode = std::fs::metadata(&config.dir)?.permissions().mode();
        // In /tmp and its like everybody may make files, and nobody touch those of others.
        let sticky = mode & 0o1000 != 0;
        if mode & 0o022 != 0 && !sticky {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{} may be written by others; it must be private", config.dir.display()),
            ));
        }
        if !sticky {
            sweep(&config.dir)?;
        }
        Ok(Arc::new(SpoolSpace {
            config,
            memory: AtomicU64::new(0),
            disk: AtomicU64::new(0),
            serial: AtomicU64::new(0),
        }))
    }

    /// Octets in use: of memory, of files.
    pub fn usage(&self) -> (u64, u64) {
        (self.memory.load(Ordering::Relaxed), self.disk.load(Ordering::Relaxed))
    }

    /// A new file, readable by us only, that is gone when its descriptor is closed.
    fn nameless_file(&self) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(&self.config.dir, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(file.into()),
            // Some file systems know only files that have a name at first.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => self.unnamed_file(),
            Err(error) => Err(error.into()),
        }
    }

    fn unnamed_file(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        loop {
            let serial = self.serial.fetch_add(1, Ordering::Relaxed);
            let path = self.config.dir.join(format!("{PREFIX}{}-{serial}", std::process::id()));
            let file = match options.open(&path) {
                // A process of the same number in another container, between the two steps.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && serial % 8 != 7 => {
                    continue;
                }
                opened => opened?,
            };
            remove(&path)?;
            return Ok(file);
        }
    }
}

/// Whether it is there or not.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A kill between making a file and removing its name leaves an empty file.
fn sweep(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Octets taken from a [`SpoolSpace`], given back on drop.
#[derive(Debug)]
pub(super) struct Share {
    space: Arc<SpoolSpace>,
    memory: u64,
    disk: u64,
}

impl Share {
    pub(super) fn new(space: Arc<SpoolSpace>) -> Self {
        Share { space, memory: 0, disk: 0 }
    }

    /// Memory that cannot be had elsewhere: from the whole of the space.
    pub(super) fn take_memory(&mut self, octets: u64) -> Result<(), SpoolError> {
        take(&self.space.memory, octets, self.space.config.memory_total)?;
        self.memory += octets;
        Ok(())
    }

    fn take_body_memory(&mut self, octets: u64) -> Result<(), SpoolError> {
        let total = self.space.config.memory_total;
        take(&self.space.memory, octets, total - total / 4)?;
        self.memory += octets;
        Ok(())
    }

    fn take_disk(&mut self, octets: u64) -> Result<(), SpoolError> {
        take(&self.space.disk, octets, self.space.config.disk_total)?;
        self.disk += octets;
        Ok(())
    }

    pub(super) fn give_memory(&mut self, octets: u64) {
        let octets = octets.min(self.memory);
        self.memory -= octets;
        self.space.memory.fetch_sub(octets, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.space.memory.fetch_sub(self.memory, Ordering::Relaxed);
        self.space.disk.fetch_sub(self.disk, Ordering::Relaxed);
    }
}

fn take(used: &AtomicU64, octets: u64, total: u64) -> Result<(), SpoolError> {
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        used.checked_add(octets).filter(|sum| *sum <= total)
    })
    .map(|_| ())
    .map_err(|_| SpoolError::Full)
}

/// One body: pieces of memory, or a file.
#[derive(Debug)]
pub(super) struct Spool {
    // Before `share`: what was taken is given back after it is freed.
    pieces: Vec<Vec<u8>>,
    file: Option<SpoolFile>,
    len: u64,
    share: Share,
}

#[derive(Debug)]
struct SpoolFile {
    file: File,
    /// Gathers small writes. A piece that was in use when the file was made, so that it costs no
    /// memory when there is none left; it may be without capacity.
    buffer: Vec<u8>,
}

/// Where a body is.
pub(super) enum Place<'a> {
    Memory(&'a [Vec<u8>]),
    File(&'a File),
}

impl Spool {
    pub(super) fn new(space: Arc<SpoolSpace>) -> Self {
        Spool { pieces: Vec::new(), file: None, len: 0, share: Share::new(space) }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn place(&self) -> Place<'_> {
        match &self.file {
            Some(file) => Place::File(&file.file),
            None => Place::Memory(&self.pieces),
        }
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), SpoolError> {
        self.len += bytes.len() as u64;
        while self.file.is_none() && !bytes.is_empty() {
            let room = self.pieces.last().map_or(0, |piece| piece.capacity() - piece.len());
            if room == 0 {
                self.grow(bytes.len())?;
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(piece) = self.pieces.last_mut() {
                piece.extend_from_slice(now);
            }
            bytes = later;
        }
        match &mut self.file {
            Some(file) => file.write(bytes, &mut self.share),
            None => Ok(()),
        }
    }

    /// After the last byte.
    pub(super) fn finish(&mut self) -> Result<(), SpoolError> {
        if let Some(file) = &mut self.file {
            file.flush(&mut self.share)?;
            let buffer = std::mem::take(&mut file.buffer);
            self.share.give_memory(buffer.capacity() as u64);
        }
        Ok(())
    }

    /// One more piece of memory, or the step into a file.
    fn grow(&mut self, wanted: usize) -> Result<(), SpoolError> {
        let held = self.share.memory;
        let left = self.share.space.config.memory_per_message.saturating_sub(held) as usize;
        let doubled = usize::try_from(held).unwrap_or(LARGE);
        let size = wanted.max(doubled).next_power_of_two().clamp(SMALL, LARGE).min(left);
        if size > 0 && self.share.take_body_memory(size as u64).is_ok() {
            self.pieces.push(Vec::with_capacity(size));
            return Ok(());
        }
        let file = self.share.space.nameless_file()?;
        let mut pieces = std::mem::take(&mut self.pieces);
        let mut file = SpoolFile { file, buffer: Vec::new() };
        for piece in &pieces {
            file.write(piece, &mut self.share)?;
        }
        if let Some(mut buffer) = pieces.pop() {
            buffer.clear();
            file.buffer = buffer;
        }
        self.share.give_memory(pieces.iter().map(|piece| piece.capacity() as u64).sum());
        self.file = Some(file);
        Ok(())
    }
}

impl SpoolFile {
    fn write(&mut self, bytes: &[u8], share: &mut Share) -> Result<(), SpoolError> {
        if bytes.len() > self.buffer.capacity() - self.buffer.len() {
            self.flush(share)?;
        }
        if bytes.len() > self.buffer.capacity() {
            return self.write_through(bytes, share);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self, share: &mut Share) -> Result<(), SpoolError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.write_through(&buffer, share);
        buffer.clear();
        self.buffer = buffer;
        result
    }

    fn write_through(&mut self, bytes: &[u8], share: &mut Share) -> Result<(), SpoolError> {
        share.take_disk(bytes.len() as u64)?;
        self.file.write_all(bytes)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    fn space(name: &str, mode: u32) -> (PathBuf, io::Result<Arc<SpoolSpace>>) {
        let dir = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::write(dir.join(format!("{PREFIX}1-1")), "").unwrap();
        let (memory_per_message, memory_total, disk_total) = (1, 1, 1);
        let config = SpoolConfig { dir: dir.clone(), memory_per_message, memory_total, disk_total };
        (dir, SpoolSpace::new(config))
    }

    #[test]
    fn a_file_has_no_name_whichever_way_it_was_made() {
        let (dir, space) = space("spool-nameless", 0o700);
        let space = space.unwrap();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "what was left over is removed");
        for file in [space.nameless_file(), space.unnamed_file()] {
            let mut file = file.unwrap();
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
            let about = file.metadata().unwrap();
            assert_eq!((about.nlink(), about.mode() & 0o777), (0, 0o600));
            file.write_all_at(b"body", 0).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "body");
        }
        std::fs::remove_dir(&dir).unwrap();
    }

    #[test]
    fn in_a_directory_for_all_nothing_of_others_is_touched() {
        let (dir, space) = space("spool-shared", 0o1777);
        assert!(space.unwrap().nameless_file().is_ok());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
