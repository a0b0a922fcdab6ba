FROM 127.0.0.1:5000/library/busybox
RUN echo one > /one; echo "two $HOME" > /two; printf 'no %s\n' tabs > /tabs; echo script > /script
RUN echo 'body $notme' > /cat; echo done > /done
RUN echo second > /last
