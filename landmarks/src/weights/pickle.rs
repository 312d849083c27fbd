//! A reader for the pickles that `torch.save` writes for state dicts. It knows data and four harmless callables;
//! anything else is refused by name. Values live in one arena, so neither depth nor sharing can exhaust the stack.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Dtype, MAX_NAME, MAX_TENSORS, WeightsFault};

/// Values, references to them and marks of a pickle; the largest state dicts take some twenty for each tensor.
const MAX_VALUES: usize = 4_000_000;

/// Index of a value in [`Pickle::arena`].
pub(super) type Id = usize;

#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Int(i64),
    Str(Arc<str>),
    Seq(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(Tensor),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageType(Dtype),
}

#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub key: Arc<str>,
    pub dtype: Dtype,
    pub elements: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub storage: Storage,
    pub offset: u64,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

pub(super) struct Pickle {
    arena: Vec<Value>,
    root: Id,
    /// Bytes read, up to and including STOP.
    pub consumed: usize,
}

impl Pickle {
    pub fn parse(bytes: &[u8]) -> Result<Self, WeightsFault> {
        let mut vm = Vm { bytes, at: 0, arena: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        let root = vm.run()?;
        Ok(Self { arena: vm.arena, root, consumed: vm.at })
    }

    pub fn strings(&self) -> Option<Vec<String>> {
        let Value::Seq(ids) = &self.arena[self.root] else { return None };
        ids.iter()
            .map(|&id| match &self.arena[id] {
                Value::Str(s) => Some(s.to_string()),
                _ => None,
            })
            .collect()
    }

    /// The named tensors of the state dict: the root, or its entry `state_dict` or `model`.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>, WeightsFault> {
        let Value::Dict(items) = &self.arena[self.root] else {
            return Err(WeightsFault::NotWeights("the pickle does not hold a state dict"));
        };
        let named = |items: &[(Id, Id)]| -> Result<Vec<(String, Tensor)>, WeightsFault> {
            let mut named = Vec::new();
            for &(k, v) in items {
                if let (Value::Str(name), Value::Tensor(t)) = (&self.arena[k], &self.arena[v]) {
                    if name.len() > MAX_NAME || named.len() == MAX_TENSORS {
                        return Err(WeightsFault::Rule("too many tensors, or a name that is too long"));
                    }
                    named.push((name.to_string(), t.clone()));
                }
            }
            Ok(named)
        };
        let found = named(items)?;
        if !found.is_empty() {
            return Ok(found);
        }
        for &(k, v) in items {
            if let (Value::Str(name), Value::Dict(inner)) = (&self.arena[k], &self.arena[v])
                && ["state_dict", "model", "model_state_dict"].contains(&&**name)
            {
                return named(inner);
            }
        }
        Err(WeightsFault::NotWeights("the pickle holds no tensors"))
    }
}

struct Vm<'a> {
    bytes: &'a [u8],
    at: usize,
    arena: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl Vm<'_> {
    fn fault(&self, what: &'static str) -> WeightsFault {
        WeightsFault::Pickle { at: self.at, what }
    }

    fn take(&mut self, n: usize) -> Result<&[u8], WeightsFault> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| self.fault("it ends in the middle of a value"))?;
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }

    fn uint(&mut self, n: usize) -> Result<u64, WeightsFault> {
        Ok(self.take(n)?.iter().rev().fold(0, |acc, &b| acc << 8 | u64::from(b)))
    }

    fn line(&mut self) -> Result<String, WeightsFault> {
        let len = self.bytes[self.at..].iter().take(1024).position(|&b| b == b'\n');
        let len = len.ok_or_else(|| self.fault("a name without end"))?;
        let text = String::from_utf8_lossy(self.take(len)?).into_owned();
        self.at += 1;
        Ok(text)
    }

    fn push(&mut self, value: Value) {
        self.arena.push(value);
        self.stack.push(self.arena.len() - 1);
    }

    fn pop(&mut self) -> Result<Id, WeightsFault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.fault("the stack is empty"));
        }
        self.stack.pop().ok_or_else(|| self.fault("the stack is empty"))
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, WeightsFault> {
        let mark = self.marks.pop().ok_or_else(|| self.fault("no mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn seq(&mut self, n: usize) -> Result<(), WeightsFault> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Seq(items));
        Ok(())
    }

    fn text(&mut self, len: u64) -> Result<(), WeightsFault> {
        let len = usize::try_from(len).map_err(|_| self.fault("a string longer than the file"))?;
        let text = std::str::from_utf8(self.take(len)?).map(Arc::from);
        let text = text.map_err(|_| self.fault("a string that is not UTF-8"))?;
        self.push(Value::Str(text));
        Ok(())
    }

    fn run(&mut self) -> Result<Id, WeightsFault> {
        loop {
            let op = self.uint(1)? as u8;
            if self.arena.len() + self.stack.len() + self.marks.len() + self.memo.len() > MAX_VALUES {
                return Err(self.fault("more values than a state dict has"));
            }
            match op {
                0x80 => {
                    self.take(1)?;
                } // PROTO
                0x95 => {
                    self.take(8)?;
                } // FRAME
                b'.' => return self.pop(),                 // STOP
                b'(' => self.marks.push(self.stack.len()), // MARK
                b'0' => {
                    self.pop()?;
                } // POP
                b'N' => self.push(Value::None),            // NONE
                0x88 => self.push(Value::Int(1)),          // NEWTRUE
                0x89 => self.push(Value::Int(0)),          // NEWFALSE
                b'K' | b'M' => {
                    let n = self.uint(if op == b'K' { 1 } else { 2 })?;
                    self.push(Value::Int(n as i64));
                }
                b'J' => {
                    let n = self.uint(4)? as u32;
                    self.push(Value::Int(i64::from(n as i32)));
                }
                0x8a => self.long1()?,
                b'G' => {
                    self.take(8)?; // BINFLOAT: never part of a tensor
                    self.push(Value::None);
                }
                b'X' => {
                    let n = self.uint(4)?;
                    self.text(n)?
                }
                0x8c => {
                    let n = self.uint(1)?;
                    self.text(n)?
                }
                0x8d => {
                    let n = self.uint(8)?;
                    self.text(n)?
                }
                b')' => self.push(Value::Seq(Vec::new())),
                b']' => self.push(Value::Seq(Vec::new())),
                b'}' => self.push(Value::Dict(Vec::new())),
                0x85..=0x87 => self.seq(usize::from(op - 0x84))?,
                b't' | b'l' => {
                    let items = self.pop_mark()?;
                    self.push(Value::Seq(items));
                }
                b'q' => {
                    let k = self.uint(1)?;
                    self.memoise(k)?
                }
                b'r' => {
                    let k = self.uint(4)?;
                    self.memoise(k)?
                }
                0x94 => self.memoise(self.memo.len() as u64)?,
                b'h' => {
                    let k = self.uint(1)?;
                    self.recall(k)?
                }
                b'j' => {
                    let k = self.uint(4)?;
                    self.recall(k)?
                }
                b'a' => {
                    let v = self.pop()?;
                    self.append(vec![v])?
                }
                b'e' => {
                    let items = self.pop_mark()?;
                    self.append(items)?
                }
                b's' => {
                    let v = self.pop()?;
                    let k = self.pop()?;
                    self.set_items(vec![k, v])?
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    self.set_items(items)?
                }
                b'c' => {
                    let (m, n) = (self.line()?, self.line()?);
                    self.global(&m, &n)?
                }
                0x93 => {
                    let (name, module) = (self.pop_str()?, self.pop_str()?);
                    self.global(&module, &name)?;
                }
                b'Q' => self.storage()?,
                b'R' => self.reduce()?,
                // BUILD sets attributes such as `_metadata` on an ordered dict: not needed.
                b'b' => {
                    self.pop()?;
                }
                _ => return Err(self.fault("an operation that state dicts do not need")),
            }
        }
    }

    fn long1(&mut self) -> Result<(), WeightsFault> {
        let n = self.uint(1)? as usize;
        let bytes = self.take(n)?;
        let mut wide = [if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 }; 8];
        // The magic number of the old format has ten bytes; no size or index needs more than eight.
        for (w, b) in wide.iter_mut().zip(bytes) {
            *w = *b;
        }
        self.push(Value::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn memoise(&mut self, key: u64) -> Result<(), WeightsFault> {
        let top = *self.stack.last().ok_or_else(|| self.fault("the stack is empty"))?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), WeightsFault> {
        let id = *self.memo.get(&key).ok_or_else(|| self.fault("an unknown memo entry"))?;
        self.stack.push(id);
        Ok(())
    }

    fn top(&mut self) -> Result<&mut Value, WeightsFault> {
        let id = *self.stack.last().ok_or_else(|| self.fault("the stack is empty"))?;
        Ok(&mut self.arena[id])
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), WeightsFault> {
        match self.top()? {
            Value::Seq(list) => list.extend(items),
            _ => return Err(self.fault("append to something that is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Id>) -> Result<(), WeightsFault> {
        match self.top()? {
            Value::Dict(dict) => dict.extend(items.chunks_exact(2).map(|kv| (kv[0], kv[1]))),
            _ => return Err(self.fault("an item set on something that is no dict")),
        }
        Ok(())
    }

    fn pop_str(&mut self) -> Result<Arc<str>, WeightsFault> {
        let id = self.pop()?;
        match &self.arena[id] {
            Value::Str(s) => Ok(s.clone()),
            _ => Err(self.fault("a name that is no string")),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), WeightsFault> {
        let global = match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch" | "torch.storage", storage) => Global::StorageType(match storage {
                "DoubleStorage" => Dtype::F64,
                "FloatStorage" => Dtype::F32,
                "HalfStorage" => Dtype::F16,
                "BFloat16Storage" => Dtype::BF16,
                "LongStorage" => Dtype::Other(8),
                "IntStorage" => Dtype::Other(4),
                "ShortStorage" => Dtype::Other(2),
                "ByteStorage" | "CharStorage" | "BoolStorage" => Dtype::Other(1),
                _ => return Err(WeightsFault::UnsafePickle(format!("{module}.{name}"))),
            }),
            _ => return Err(WeightsFault::UnsafePickle(format!("{module}.{name}"))),
        };
        self.push(Value::Global(global));
        Ok(())
    }

    /// `('storage', torch.FloatStorage, key, location, elements, ..)` behind a persistent id.
    fn storage(&mut self) -> Result<(), WeightsFault> {
        let id = self.pop()?;
        let storage = match &self.arena[id] {
            Value::Seq(ids) if ids.len() >= 5 => {
                match (&self.arena[ids[1]], &self.arena[ids[2]], &self.arena[ids[4]]) {
                    (Value::Global(Global::StorageType(dtype)), Value::Str(key), Value::Int(n)) if *n >= 0 => {
                        Some(Storage { key: key.clone(), dtype: *dtype, elements: *n as u64 })
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        let storage = storage.ok_or_else(|| self.fault("a storage that is not described as torch does"))?;
        self.push(Value::Storage(storage));
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), WeightsFault> {
        let (args, callable) = (self.pop()?, self.pop()?);
        let Value::Seq(args) = &self.arena[args] else { return Err(self.fault("a call without arguments")) };
        let Value::Global(global) = &self.arena[callable] else {
            return Err(self.fault("a call of something that is no function"));
        };
        let value = match (global, args.as_slice()) {
            (Global::OrderedDict, _) => Value::Dict(Vec::new()),
            (Global::RebuildParameter, [tensor, ..]) => match &self.arena[*tensor] {
                Value::Tensor(t) => Value::Tensor(t.clone()),
                _ => return Err(self.fault("a parameter that is no tensor")),
            },
            (Global::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                match (&self.arena[*storage], &self.arena[*offset], self.sizes(*shape), self.sizes(*strides)) {
                    (Value::Storage(s), Value::Int(o), Some(shape), Some(strides))
                        if *o >= 0 && shape.len() == strides.len() =>
                    {
                        Value::Tensor(Tensor { storage: s.clone(), offset: *o as u64, shape, strides })
                    }
                    _ => return Err(self.fault("a tensor that is not described as torch does")),
                }
            }
            _ => return Err(self.fault("a call with the wrong arguments")),
        };
        self.push(value);
        Ok(())
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let Value::Seq(ids) = &self.arena[id] else { return None };
        // No tensor has more than eight axes; a shared long list must not be walked again and again.
        if ids.len() > 8 {
            return None;
        }
        ids.iter()
            .map(|&id| match self.arena[id] {
                Value::Int(n) => usize::try_from(n).ok(),
                _ => None,
            })
            .collect()
    }
}
