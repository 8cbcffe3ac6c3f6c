# mp3_udp.py HOST PORT FILE CHUNK: sends a file in chunks, and never looks back
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
with open(sys.argv[3], "rb") as f:
    while chunk := f.read(int(sys.argv[4])):
        s.sendto(chunk, (sys.argv[1], int(sys.argv[2])))
        time.sleep(0.001)
