//! The escaped text of the conformance files, and bytes that are too many to hold.

/// About how many bytes are held of what is repeated.
const BLOCK_BYTES: usize = 64 * 1024;

/// Bytes to send: as they are, or some a number of times, which are never held as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes(Vec<Run>);

/// What [`Bytes::pieces`] gives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    Bytes(&'a [u8]),
    Cut,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Run {
    Plain(Vec<u8>),
    /// So many bytes of this block, over and over, from that offset in it.
    Repeated {
        block: Vec<u8>,
        left: u64,
        at: usize,
    },
}

impl Bytes {
    /// The bytes of `text`, where `\n \r \t \0 \\` mean what they mean in Rust, `\xHH` is one raw
    /// byte and `\R{HH,N}` is the byte HH repeated N times.
    ///
    /// # Errors
    ///
    /// Names the escape that is none of these.
    pub(crate) fn unescape(text: &str) -> Result<Self, String> {
        let mut bytes = Self::default();
        let mut rest = text;
        while let Some((plain, escaped)) = rest.split_once('\\') {
            bytes.push(plain.as_bytes());
            rest = bytes
                .push_escape(escaped)
                .ok_or_else(|| format!("unknown escape \\{:.12} in {text:.60?}", escaped))?;
        }
        bytes.push(rest.as_bytes());
        Ok(bytes)
    }

    /// Appends what stands at the front of `escaped`, after its backslash, and returns the rest.
    fn push_escape<'a>(&mut self, escaped: &'a str) -> Option<&'a str> {
        if let Some(run) = escaped.strip_prefix("R{") {
            let (run, rest) = run.split_once('}')?;
            let (byte, count) = run.split_once(',')?;
            self.push_repeated(&[u8::from_str_radix(byte, 16).ok()?], count.parse().ok()?);
            return Some(rest);
        }
        if let Some(hex) = escaped.strip_prefix('x') {
            self.push(&[u8::from_str_radix(hex.get(..2)?, 16).ok()?]);
            return hex.get(2..);
        }
        let simple = [('n', b'\n'), ('r', b'\r'), ('t', b'\t'), ('0', 0), ('\\', b'\\')];
        let escape = escaped.chars().next()?;
        let (_, byte) = simple.into_iter().find(|(name, _)| *name == escape)?;
        self.push(&[byte]);
        escaped.get(1..)
    }

    /// Appends these.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            Some(Run::Plain(last)) => last.extend_from_slice(bytes),
            _ if bytes.is_empty() => {}
            _ => self.0.push(Run::Plain(bytes.to_vec())),
        }
    }

    /// Appends these that often.
    pub(crate) fn push_repeated(&mut self, pattern: &[u8], count: u64) {
        let block = pattern.repeat(BLOCK_BYTES.div_ceil(pattern.len()));
        let left = count.saturating_mul(pattern.len() as u64);
        self.0.push(Run::Repeated { block, left, at: 0 });
    }

    /// Appends those of another.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn ends_with(&self, end: &[u8]) -> bool {
        matches!(self.0.last(), Some(Run::Plain(last)) if last.ends_with(end))
    }

    pub(crate) fn len(&self) -> u64 {
        let run_len = |run: &Run| match run {
            Run::Plain(bytes) => bytes.len() as u64,
            Run::Repeated { left, .. } => *left,
        };
        self.0.iter().map(run_len).sum()
    }

    /// Gives all of them to `take` in order, with a cut at each of those offsets, which ascend. The
    /// first error ends it.
    pub(crate) fn pieces<E>(
        &self,
        cuts: &[u64],
        mut take: impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut cuts = cuts.iter().copied().peekable();
        let mut at = 0;
        for run in &self.0 {
            let mut run = run.clone();
            loop {
                while cuts.next_if(|cut| *cut <= at).is_some() {
                    take(Piece::Cut)?;
                }
                let until_cut = cuts.peek().map_or(u64::MAX, |cut| cut - at);
                let block = run.take(until_cut);
                if block.is_empty() {
                    break;
                }
                at += block.len() as u64;
                take(Piece::Bytes(&block))?;
            }
        }
        Ok(())
    }
}

impl Run {
    /// Takes a block off the front, of at most `max` bytes; empty when nothing is left.
    fn take(&mut self, max: u64) -> Vec<u8> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        match self {
            Self::Plain(bytes) => {
                let rest = bytes.split_off(max.min(bytes.len()));
                std::mem::replace(bytes, rest)
            }
            Self::Repeated { block, left, at } => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(max);
                let len = len.min(block.len() - *at);
                let taken = block[*at..*at + len].to_vec();
                *left -= len as u64;
                *at = (*at + len) % block.len();
                taken
            }
        }
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<&[u8]> for Bytes {
    fn from(plain: &[u8]) -> Self {
        let mut bytes = Self::default();
        bytes.push(plain);
        bytes
    }
}

/// What `pieces` gives, with the cuts as they are.
fn split(bytes: &Bytes, cuts: &[u64]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let Ok(()) = bytes.pieces(cuts, |piece| {
        match (piece, parts.last_mut().expect("there is one")) {
            (Piece::Bytes(block), last) => last.extend_from_slice(block),
            (Piece::Cut, _) => parts.push(Vec::new()),
        }
        Ok::<_, std::convert::Infallible>(())
    });
    assert_eq!(bytes.len(), parts.iter().map(Vec::len).sum::<usize>() as u64);
    parts
}

#[test]
fn escapes_mean_what_the_format_says() {
    let whole = |text: &str| split(&Bytes::unescape(text).expect(text), &[]).concat();
    assert_eq!(whole(r"a\n\r\t\0\\b"), b"a\n\r\t\0\\b");
    assert_eq!(whole(r"\xE2\x80\xA6\xff"), b"\xe2\x80\xa6\xff");
    assert_eq!(whole(r"[\R{61,3}\R{0d,0}]…"), "[aaa]…".as_bytes());
    assert_eq!(whole(r"\R{2e,200000}"), vec![b'.'; 200_000]);
    for unknown in [r"\q", r"\x6", r"\xé", r"\R{61}", r"\R{61,", "\\"] {
        assert!(Bytes::unescape(unknown).is_err(), "{unknown:?}");
    }
}

#[test]
fn pieces_end_at_the_cuts() {
    let bytes = Bytes::unescape(r"abc\R{2e,5}xyz").expect("it is well-formed");
    let parts = |cuts: &[u64]| -> Vec<String> {
        split(&bytes, cuts)
            .into_iter()
            .map(|part| String::from_utf8(part).expect("ASCII"))
            .collect()
    };
    assert_eq!(parts(&[]), ["abc.....xyz"]);
    assert_eq!(parts(&[1, 3, 4, 10]), ["a", "bc", ".", "....xy", "z"]);
    assert_eq!(parts(&[2, 2]), ["ab", "", "c.....xyz"]);
    assert_eq!(parts(&[0, 11]), ["", "abc.....xyz", ""]);
}
