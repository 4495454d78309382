"""Can this camera's view do the job?

reading.py    opens the camera for some seconds: packets, frames, pictures   (I/O)
looking.py    finds the faces in the pictures
figures.py    what was read, as figures                                       (pure)
stream_findings.py, face_findings.py
              figures against the worker's limits: what to change             (pure)
verdict.py    all of it in one word                                          (pure)
report.py     figures and verdict, for people and as JSON
picture.py    the picture with the most faces, annotated
command.py    all of it, camera after camera
"""
