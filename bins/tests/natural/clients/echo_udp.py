# echo_udp.py HOST PORT MESSAGE...
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
for message in sys.argv[3:]:
    s.sendto(message.encode(), (sys.argv[1], int(sys.argv[2])))
    print(s.recvfrom(1024)[0].decode())
