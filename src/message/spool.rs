//! Where bodies wait: a little memory each, then a file without a name, both with a limit over all
//! sessions.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Files of ours carry this prefix for the moment in which they have a name.
const PREFIX: &str = "portcullis-spool-";
/// The first piece of memory of a body, and the largest one.
const SMALL: usize = 4 << 10;
const LARGE: usize = 64 << 10;

#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// Private to this process; created with mode 0700.
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
        if mode & 0o022 != 0 {
            // Not changed here: it may be /tmp.
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{} may be written by others; it must be private", config.dir.display()),
            ));
        }
        sweep(&config.dir)?;
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
