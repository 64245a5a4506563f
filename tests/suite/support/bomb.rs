//! A component of 58 KiB that takes minutes and hundreds of MiB to compile.

/// One function: nested blocks, and jumps out of them, each with many places to go and a changed
/// variable.
pub(crate) fn bomb() -> Vec<u8> {
    const LOCALS: u64 = 200;
    const DEPTH: u64 = 200;
    const TABLES: u64 = 200;
    const TARGETS: u64 = 200;
    let mut body = number(1);
    body.extend(number(LOCALS));
    body.push(0x7e);
    for _ in 0..DEPTH {
        body.extend([0x02, 0x40]);
    }
    for table in 0..TABLES {
        body.push(0x20);
        body.extend(number(1 + table * 7 % LOCALS));
        body.extend([0x42, 0x01, 0x7c, 0x21]);
        body.extend(number(1 + (table * 13 + 5) % LOCALS));
        body.extend([0x02, 0x40, 0x20, 0x00, 0x0e]);
        body.extend(number(TARGETS));
        for target in 0..TARGETS {
            body.extend(number((table + target) % DEPTH + 1));
        }
        body.extend(number(0));
        body.push(0x0b);
    }
    body.extend(std::iter::repeat_n(0x0b, DEPTH as usize));
    body.extend([0x20, 0x01]);
    for local in 2..=LOCALS {
        body.push(0x20);
        body.extend(number(local));
        body.push(0x7c);
    }
    body.push(0x0b);
    let mut code = number(1);
    code.extend(number(body.len() as u64));
    code.extend(body);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend(section(1, &[0x01, 0x60, 0x01, 0x7f, 0x01, 0x7e]));
    module.extend(section(3, &[0x01, 0x00]));
    module.extend(section(10, &code));
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.extend(section(1, &module));
    component
}

fn section(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut section = vec![kind];
    section.extend(number(body.len() as u64));
    section.extend_from_slice(body);
    section
}

/// A number in LEB128.
fn number(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        bytes.push(if number == 0 { byte } else { byte | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}
