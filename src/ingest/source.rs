//! The bytes of an upload, in memory or in a file; they can be read again from the start.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;
use parquet::file::reader::{ChunkReader, Length};

use super::error::IngestError;

/// What the formats that are not read piece by piece may hold: a document of JSON and an archive have no rows until
/// they were seen whole.
const MOST_WHOLE: u64 = 256 << 20;

#[derive(Debug, Clone)]
pub enum Source {
    Bytes(Bytes),
    File { path: PathBuf, n_bytes: u64 },
}

/// A file, for readers that look at its end first.
pub(super) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

impl Source {
    /// # Errors
    /// If there is no such file.
    pub fn file(path: PathBuf) -> io::Result<Self> {
        let n_bytes = std::fs::metadata(&path)?.len();
        Ok(Self::File { path, n_bytes })
    }

    pub fn n_bytes(&self) -> u64 {
        match self {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::File { n_bytes, .. } => *n_bytes,
        }
    }

    /// From the start.
    pub(super) fn open(&self) -> Result<Box<dyn Read + Send + '_>, IngestError> {
        Ok(match self {
            Source::Bytes(bytes) => Box::new(bytes.as_ref()),
            Source::File { path, .. } => Box::new(File::open(path)?),
        })
    }

    /// To go to and fro in it.
    pub(super) fn open_to_seek(&self) -> Result<Box<dyn ReadSeek + '_>, IngestError> {
        Ok(match self {
            Source::Bytes(bytes) => Box::new(Cursor::new(bytes.as_ref())),
            Source::File { path, .. } => Box::new(io::BufReader::new(File::open(path)?)),
        })
    }

    /// At most the first `most` bytes.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn start(&self, most: usize) -> Result<Bytes, IngestError> {
        if let Source::Bytes(bytes) = self {
            return Ok(bytes.slice(..bytes.len().min(most)));
        }
        let mut start = Vec::new();
        self.open()?.take(most as u64).read_to_end(&mut start)?;
        Ok(start.into())
    }

    /// All of it, of a format that can only be read so.
    pub(super) fn whole(&self, format: &str) -> Result<Bytes, IngestError> {
        if let Source::Bytes(bytes) = self {
            return Ok(bytes.clone());
        }
        if self.n_bytes() > MOST_WHOLE {
            let message = format!(
                "{format} is read as a whole, up to {MOST_WHOLE} bytes; send CSV, JSON lines, Parquet or an NPY array, \
                 of which any size is read"
            );
            return Err(IngestError::TooLarge { message });
        }
        self.start(MOST_WHOLE as usize)
    }
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Source::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Source::Bytes(bytes.into())
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Source::Bytes(text.into())
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.n_bytes()
    }
}

/// The parts of a Parquet file, as its footer places them.
impl ChunkReader for Source {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(match self {
            Source::Bytes(bytes) => {
                let mut cursor = Cursor::new(bytes.clone());
                cursor.set_position(start);
                Box::new(cursor)
            }
            Source::File { path, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(start))?;
                Box::new(io::BufReader::new(file))
            }
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.n_bytes());
        let Some(end) = end else {
            return Err(parquet::errors::ParquetError::EOF("a part lies beyond the end of the file".into()));
        };
        match self {
            Source::Bytes(bytes) => Ok(bytes.slice(start as usize..end as usize)),
            Source::File { .. } => {
                let mut part = vec![0; length];
                self.get_read(start)?.read_exact(&mut part)?;
                Ok(part.into())
            }
        }
    }
}
