//! From parser events to trees, without recursion: a hostile file costs memory in proportion to
//! its size, and never the stack.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{
    Entry, MAX_ALIASED_BYTES, MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, NodeValue, Position, Problem,
    Segment, path_text, quoted, scalar, size::Size, too_deep,
};

/// Most documents with a syntax error that one file reports: the rest would be noise.
const MAX_SYNTAX_ERRORS: usize = 10;

/// The documents, and the keys that a map has twice.
pub(super) fn documents(file: &str, text: &str) -> Result<(Vec<Node>, Vec<Problem>), Vec<Problem>> {
    let mut builder = Builder { file, ..Builder::default() };
    if text.len() > MAX_BYTES {
        let message = format!("larger than {MAX_BYTES} bytes");
        builder.problem(Position { line: 1, column: 1 }, String::new(), message);
        return Err(builder.problems);
    }
    let options = granit_parser::options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut syntax_errors = 0;
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => {
                if builder.event(event, &span).is_err() {
                    break;
                }
            }
            Err(error) => {
                builder.syntax_error(&error);
                syntax_errors += 1;
                if syntax_errors == MAX_SYNTAX_ERRORS
                    || !matches!(parser.proceed_next_document(), Ok(true))
                {
                    break;
                }
            }
        }
    }
    let Builder { documents, mut problems, mut repeated, .. } = builder;
    if problems.is_empty() {
        repeated.sort_by_key(|problem| problem.at);
        return Ok((documents, repeated));
    }
    problems.append(&mut repeated);
    problems.sort_by_key(|problem| problem.at);
    Err(problems)
}

/// A limit is reached: the rest of the file is not looked at.
struct Stop;

#[derive(Default)]
struct Builder<'f> {
    file: &'f str,
    /// The maps and lists around the next node, outermost first.
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    documents: Vec<Node>,
    problems: Vec<Problem>,
    /// The keys that a map has twice.
    repeated: Vec<Problem>,
    nodes: usize,
    aliased_bytes: usize,
}

enum Frame {
    List { at: Position, anchor: usize, items: Vec<Node> },
    Map { at: Position, anchor: usize, entries: Vec<Entry>, merges: Vec<Node>, key: Option<Key> },
}

struct Key {
    /// `None` when no text can stand for it: the entry is dropped.
    text: Option<String>,
    at: Position,
    /// A plain `<<`: the value's entries belong to the map itself.
    merge: bool,
}

struct Anchored {
    node: Node,
    size: Size,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let at = position(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_absent = span.start.index() == span.end.index();
                let at = match self.stack.last() {
                    // The parser puts it after the colon or on the next line.
                    Some(Frame::Map { key: Some(key), .. }) if is_absent => key.at,
                    _ => at,
                };
                let (node, merge) = self.scalar(&text, style, tag.as_deref(), at);
                self.grow(at, Size { nodes: 1, ..Size::default() })?;
                self.complete(node, anchor, merge)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", at);
                self.open(Frame::List { at, anchor, items: Vec::new() }, at)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", at);
                let (entries, merges) = (Vec::new(), Vec::new());
                self.open(Frame::Map { at, anchor, entries, merges, key: None }, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, frame: Frame, at: Position) -> Result<(), Stop> {
        self.grow(at, Size { nodes: 1, bytes: 0, depth: 1 })?;
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Stop> {
        let (node, anchor) = match self.stack.pop() {
            Some(Frame::List { at, anchor, items }) => {
                (Node::new(at, NodeValue::List(items)), anchor)
            }
            Some(Frame::Map { at, anchor, mut entries, merges, .. }) => {
                self.duplicates(&mut entries);
                self.merge(&mut entries, merges);
                (Node::new(at, NodeValue::Map(entries)), anchor)
            }
            None => return Ok(()),
        };
        self.complete(node, anchor, false)
    }

    /// Puts a finished node where it belongs: document, item, key or value.
    fn complete(&mut self, node: Node, anchor: usize, merge: bool) -> Result<(), Stop> {
        if anchor != 0 {
            let size = Size::of(&node);
            self.grow(node.at, Size { depth: 0, ..size })?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        match self.stack.last_mut() {
            None => {
                if node.value != NodeValue::Null {
                    self.documents.push(node);
                }
            }
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, merges, key, .. }) => match key.take() {
                Some(Key { at, merge: true, .. }) => merges.push(Node { at, ..node }),
                Some(Key { text: Some(key), at, .. }) => {
                    entries.push(Entry { key, at, value: node });
                }
                Some(Key { text: None, .. }) => {}
                None => {
                    let next = self.key(node, merge);
                    if let Some(Frame::Map { key, .. }) = self.stack.last_mut() {
                        *key = Some(next);
                    }
                }
            },
        }
        Ok(())
    }

    fn key(&mut self, node: Node, merge: bool) -> Key {
        let Node { at, value, raw } = node;
        let (text, message) = match value {
            NodeValue::String(text) => (Some(text), None),
            NodeValue::Int(number) => (Some(number.to_string()), None),
            NodeValue::Bool(flag) => (Some(flag.to_string()), None),
            NodeValue::Ambiguous(word) => {
                let message = ambiguous(&word);
                (Some(word), Some(message))
            }
            NodeValue::Float(_) => {
                let text = raw.unwrap_or_default().into_string();
                let message = format!("a key must be text; write {}", quoted(&text));
                (Some(text), Some(message))
            }
            NodeValue::Null => (None, Some("a key must be text, not null".to_owned())),
            NodeValue::List(_) => (None, Some(bracketed_key("list"))),
            NodeValue::Map(_) => (None, Some(bracketed_key("map"))),
        };
        if let Some(message) = message {
            self.problem(at, self.path(), message);
        }
        Key { text, at, merge }
    }

    /// The node of a scalar, and whether it is a merge key where a key is expected.
    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: Position,
    ) -> (Node, bool) {
        let is_plain = style == ScalarStyle::Plain && tag.is_none();
        let tag = match tag {
            None if is_plain => None,
            None => Some("str"),
            Some(tag) if is_non_specific(tag) => Some("str"),
            Some(tag) => tag.core_suffix().or_else(|| {
                self.unknown_tag(tag, at);
                Some("str")
            }),
        };
        let value = scalar::resolve_tagged(text, tag).unwrap_or_else(|message| {
            self.problem(at, self.path(), message);
            NodeValue::Null
        });
        let raw = matches!(value, NodeValue::Bool(_) | NodeValue::Int(_) | NodeValue::Float(_))
            .then(|| text.into());
        (Node { at, value, raw }, is_plain && text == "<<")
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Stop> {
        let Some(Anchored { node, size }) = self.anchors.get(&anchor) else {
            self.problem(at, self.path(), "an alias inside the value it stands for".to_owned());
            return self.complete(Node::new(at, NodeValue::Null), 0, false);
        };
        let (size, node) = (*size, node.clone());
        self.grow(at, size)?;
        self.complete(Node { at, ..node }, 0, false)
    }

    /// Reports keys that a map has twice, and keeps the last of each.
    fn duplicates(&mut self, entries: &mut Vec<Entry>) {
        let mut last = HashMap::with_capacity(entries.len());
        for Entry { key, at, .. } in &*entries {
            if let Some(Position { line, .. }) = last.insert(key.clone(), *at) {
                let message = format!("duplicate key, also on line {line}");
                let (file, path) = (self.file.to_owned(), self.path_of(key));
                self.repeated.push(Problem { file, at: *at, path, message });
            }
        }
        entries.retain(|entry| last.get(&entry.key) == Some(&entry.at));
    }

    /// Adds the entries of the `<<` values; the map's own come first, then the earlier ones.
    fn merge(&mut self, entries: &mut Vec<Entry>, merges: Vec<Node>) {
        if merges.is_empty() {
            return;
        }
        let mut known: HashSet<_> = entries.iter().map(|entry| entry.key.clone()).collect();
        for node in merges {
            let at = node.at;
            let sources = match node.value {
                NodeValue::List(items) => items,
                _ => vec![node],
            };
            for source in sources {
                let NodeValue::Map(inherited) = source.value else {
                    let message = "the value of << must be a map or a list of maps".to_owned();
                    self.problem(at, self.path_of("<<"), message);
                    break;
                };
                entries
                    .extend(inherited.into_iter().filter(|entry| known.insert(entry.key.clone())));
            }
        }
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, expected: &str, at: Position) {
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema_tag(expected)
            && !is_non_specific(tag)
        {
            self.unknown_tag(tag, at);
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, at: Position) {
        let message = format!("unknown tag {}", tag.original());
        self.problem(at, self.path(), message);
    }

    /// Accounts for a node, or for the copy of one that an anchor or alias makes.
    fn grow(&mut self, at: Position, size: Size) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(size.nodes);
        self.aliased_bytes = self.aliased_bytes.saturating_add(size.bytes);
        let message = if self.stack.len() + size.depth > MAX_DEPTH {
            too_deep()
        } else if self.nodes > MAX_NODES {
            format!("more than {MAX_NODES} values, aliases expanded")
        } else if self.aliased_bytes > MAX_ALIASED_BYTES {
            format!("anchors and aliases repeat more than {MAX_ALIASED_BYTES} bytes")
        } else {
            return Ok(());
        };
        self.problem(at, self.path(), message);
        Err(Stop)
    }

    fn syntax_error(&mut self, error: &ScanError) {
        self.stack.clear();
        self.anchors.clear();
        let message = format!("not valid YAML: {}", error.info());
        self.problem(position(*error.marker()), String::new(), message);
    }

    fn problem(&mut self, at: Position, path: String, message: String) {
        self.problems.push(Problem { file: self.file.to_owned(), at, path, message });
    }

    /// The path of the node that is being read.
    fn path(&self) -> String {
        path_text(&self.segments())
    }

    fn path_of(&self, key: &str) -> String {
        let mut segments = self.segments();
        segments.push(Segment::Key(key.to_owned()));
        path_text(&segments)
    }

    fn segments(&self) -> Vec<Segment> {
        self.stack
            .iter()
            .filter_map(|frame| match frame {
                Frame::List { items, .. } => Some(Segment::Index(items.len())),
                Frame::Map { key, .. } => {
                    key.as_ref().and_then(|key| key.text.clone()).map(Segment::Key)
                }
            })
            .collect()
    }
}

fn bracketed_key(kind: &str) -> String {
    format!("a key must be text, not a {kind}; text with brackets needs quotes")
}

/// What to say about a word that YAML 1.1 takes for a boolean.
pub(in crate::profile) fn ambiguous(word: &str) -> String {
    format!("{word} without quotes is a boolean to kubectl; write {}", quoted(word))
}

/// `!`: what it tags is not to be interpreted.
fn is_non_specific(tag: &Tag) -> bool {
    tag.handle().is_empty() && tag.suffix() == "!"
}

fn position(marker: Marker) -> Position {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Position { line: number(marker.line()), column: number(marker.col() + 1) }
}
