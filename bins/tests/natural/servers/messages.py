# messages.py ours|other: checks sequence and checksum, answers ACK or NACK without a newline
import socket, sys, zlib
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    expected = 0
    while line := connection.recv(1024):
        number, checksum, message = line.decode().rstrip("\n").split(" ", 2)
        covered = f"{number} {message}" if sys.argv[1] == "ours" else message
        if int(number) == expected and int(checksum, 16) == zlib.crc32(covered.encode()):
            expected += 1
            connection.send(b"ACK")
        else:
            connection.send(b"NACK")
