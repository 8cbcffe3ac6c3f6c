# messages.py HOST PORT CHECKSUM FIRST END TEXT: messages with || between them, each until its ACK
import binascii, hashlib, socket, sys, zlib
CHECKSUMS = {
    "crc32": zlib.crc32,
    "crc32 hex": lambda m: "%x" % zlib.crc32(m),
    "CRC32 HEX": lambda m: "%08X" % zlib.crc32(m),
    "crc32 0x": lambda m: hex(zlib.crc32(m)),
    "adler32": zlib.adler32,
    "sum": sum,
    "sum mod 256": lambda m: sum(m) % 256,
    "sum mod 65536": lambda m: sum(m) % 65536,
    "crc16": lambda m: binascii.crc_hqx(m, 0),
    "md5": lambda m: hashlib.md5(m).hexdigest(),
    "sha256": lambda m: hashlib.sha256(m).hexdigest(),
}
host, port, checksum, first, end, text = sys.argv[1:]
s = socket.create_connection((host, int(port)))
s.settimeout(1)
for n, message in enumerate(text.split("||"), int(first)):
    value = CHECKSUMS[checksum](message.encode())
    while True:
        s.sendall(f"{n} {value} {message}{end}".encode())
        try:
            reply = s.recv(1024).decode()
        except TimeoutError:
            continue
        print(reply.split()[0])
        if reply.startswith("ACK"):
            break
