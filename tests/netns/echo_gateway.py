"""A gateway that names its client in the reply to EHLO, as Exim and Exchange do, and says what each session told it.
usage: echo_gateway.py ADDRESS PORT; prints "listening", then a line a session: address and commands."""
import socket
import sys
import threading


def serve(peer, address):
    said = []
    with peer:
        peer.sendall(b"220 echo.example ESMTP\r\n")
        for line in peer.makefile("rb"):
            said.append(line.decode(errors="replace").strip())
            verb = said[-1].split(" ")[0].upper()
            if verb == "EHLO":
                peer.sendall(f"250-echo.example Hello there [{address[0]}]\r\n250-PIPELINING\r\n250 SIZE 1000\r\n".encode())
            elif verb == "QUIT":
                peer.sendall(b"221 bye\r\n")
                break
            else:
                peer.sendall(b"502 what?\r\n")
    print(address[0], "|".join(said), flush=True)


listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=20)
print("listening", flush=True)
while True:
    threading.Thread(target=serve, args=listener.accept(), daemon=True).start()
