FROM 127.0.0.1:5000/library/busybox
ENV path=C:\\windows\\dir
RUN echo one     two > /out
COPY a.txt /plain
RUN mv /plain '/windows\a.txt'
LABEL tick="a\"b" back="\\x"
