# saw.py: answers a number as text with that packet, and nothing else
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    request, client = s.recvfrom(2048)
    if request.isdigit():
        s.sendto(b"music"[4096 * int(request):], client)
