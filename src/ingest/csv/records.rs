//! A text file cut into records and cells.
//!
//! A record without quotes is its line, cut at the delimiters where they are. One with a quote or a lone carriage return
//! goes through the state machine of `csv-core`, which also takes the quotes out.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use encoding_rs::Encoding;

use crate::ingest::dialect::{Delimiter, Quote};
use crate::ingest::error::{IngestError, Place};
use crate::ingest::source::Source;
use crate::ingest::text::{Fill, TextReader, line_breaks};

/// Bytes of one record: it is held whole.
const MOST_RECORD: usize = 16 << 20;

/// What comes next in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A record that starts on this line, from 1; [`Records::cells`] has its cells.
    Record {
        line: u64,
    },
    End,
    /// See [`Fill::NotUtf8`].
    NotUtf8 {
        byte: u64,
        line: u64,
    },
}

pub(super) struct Records<'a> {
    text: TextReader<'a>,
    quote: Quote,
    delimiter: u8,
    /// What was decoded; all before `at` was handed out.
    buffer: Vec<u8>,
    at: usize,
    /// Of the byte at `at`.
    line: u64,
    /// Why there is no more text.
    ended: Option<Fill>,
    quoted: Quoted,
    /// Where the cells of the record are: in `buffer`, or in `quoted.text`.
    cells: Vec<(usize, usize)>,
    is_quoted: bool,
}

/// The record that went through the state machine.
struct Quoted {
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a> Records<'a> {
    pub(super) fn open(
        source: &'a Source,
        encoding: Option<&'static Encoding>,
        quote: Quote,
    ) -> Result<Self, IngestError> {
        let text = TextReader::open(source, encoding)?;
        let quoted = Quoted { reader: Reader::new(), text: Vec::new(), ends: Vec::new() };
        Ok(Self {
            text,
            quote,
            delimiter: b',',
            buffer: Vec::new(),
            at: 0,
            line: 1,
            ended: None,
            quoted,
            cells: Vec::new(),
            is_quoted: false,
        })
    }

    pub(super) fn set_delimiter(&mut self, delimiter: Delimiter) {
        self.delimiter = delimiter.0;
        let mut builder = ReaderBuilder::new();
        builder.delimiter(delimiter.0);
        match self.quote.0 {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        self.quoted.reader = builder.build();
    }

    pub(super) fn encoding(&self) -> &'static Encoding {
        self.text.encoding()
    }

    /// The first line that is not blank, or what there is of it before a byte that cannot be read.
    pub(super) fn first_line(&mut self) -> Result<&[u8], IngestError> {
        loop {
            self.skip_blank();
            let rest = &self.buffer[self.at..];
            if let Some(n) = memchr::memchr2(b'\n', b'\r', rest) {
                return Ok(&self.buffer[self.at..self.at + n]);
            }
            if rest.len() > MOST_RECORD || self.fill()? != Fill::More {
                return Ok(&self.buffer[self.at..]);
            }
        }
    }

    pub(super) fn n_cells(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let text = if self.is_quoted { &self.quoted.text } else { &self.buffer };
        self.cells.iter().map(|(start, end)| &text[*start..*end])
    }

    pub(super) fn next(&mut self) -> Result<Next, IngestError> {
        let mut searched = 0;
        loop {
            self.skip_blank();
            let rest = &self.buffer[self.at..];
            searched = searched.min(rest.len());
            if let Some(n) = memchr::memchr(b'\n', &rest[searched..]) {
                return self.take_line(searched + n, 1);
            }
            searched = rest.len();
            if searched > MOST_RECORD {
                return Err(self.too_long());
            }
            match self.fill()? {
                Fill::More => {}
                Fill::End if searched == 0 => return Ok(Next::End),
                Fill::End => return self.take_line(searched, 0),
                Fill::NotUtf8 { byte, line } => return Ok(Next::NotUtf8 { byte, line }),
            }
        }
    }

    /// Blank lines are no records.
    fn skip_blank(&mut self) {
        while let Some(byte) = self.buffer.get(self.at).filter(|b| matches!(b, b'\n' | b'\r')) {
            self.line += u64::from(*byte == b'\n');
            self.at += 1;
        }
    }

    /// Appends the next block to what is not handed out yet.
    fn fill(&mut self) -> Result<Fill, IngestError> {
        if let Some(ended) = self.ended {
            return Ok(ended);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let filled = self.text.fill(&mut self.buffer)?;
        self.ended = Some(filled).filter(|f| *f != Fill::More);
        Ok(filled)
    }

    /// The record in the next `n` bytes, which `n_break` bytes end; it may go on beyond them if it has a quote.
    fn take_line(&mut self, n: usize, n_break: usize) -> Result<Next, IngestError> {
        let line = self.line;
        let rest = &self.buffer[self.at..self.at + n];
        let quote = self.quote.0.unwrap_or(b'\r');
        let end = match memchr::memchr2(quote, b'\r', rest) {
            None => n,
            // The usual end of a line on Windows.
            Some(i) if i + 1 == n && rest[i] == b'\r' && n_break == 1 => i,
            Some(_) => return self.take_quoted(),
        };
        self.cells.clear();
        let mut start = self.at;
        for i in memchr::memchr_iter(self.delimiter, &rest[..end]) {
            self.cells.push((start, self.at + i));
            start = self.at + i + 1;
        }
        self.cells.push((start, self.at + end));
        self.is_quoted = false;
        self.at += n + n_break;
        self.line += n_break as u64;
        Ok(Next::Record { line })
    }

    fn take_quoted(&mut self) -> Result<Next, IngestError> {
        let line = self.line;
        let (mut n_text, mut n_cells, mut n_read) = (0, 0, 0);
        self.quoted.reader.reset();
        loop {
            let Quoted { reader, text, ends } = &mut self.quoted;
            let input = &self.buffer[self.at..];
            let (result, n, written, ended) = reader.read_record(input, &mut text[n_text..], &mut ends[n_cells..]);
            self.line += line_breaks(&input[..n]);
            self.at += n;
            (n_read, n_text, n_cells) = (n_read + n, n_text + written, n_cells + ended);
            if n_read > MOST_RECORD {
                self.line = line;
                return Err(self.too_long());
            }
            match result {
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(Next::End),
                ReadRecordResult::OutputFull => text.resize((2 * text.len()).max(1024), 0),
                ReadRecordResult::OutputEndsFull => ends.resize((2 * ends.len()).max(64), 0),
                // At the end no more input is what ends the record.
                ReadRecordResult::InputEmpty => {
                    if let Fill::NotUtf8 { byte, line } = self.fill()? {
                        return Ok(Next::NotUtf8 { byte, line });
                    }
                }
            }
        }
        self.cells.clear();
        let mut start = 0;
        for end in &self.quoted.ends[..n_cells] {
            self.cells.push((start, *end));
            start = *end;
        }
        self.is_quoted = true;
        Ok(Next::Record { line })
    }

    fn too_long(&self) -> IngestError {
        let line = self.line;
        let message = format!(
            "the row on line {line} is longer than {MOST_RECORD} bytes; close its quotes, or say quote=none if they are \
             no quotes"
        );
        IngestError::invalid_at(Place { line: Some(line), ..Place::default() }, message)
    }
}
